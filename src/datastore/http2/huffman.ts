// HPACK's Huffman code (RFC 7541, appendix B). It is canonical: the codes follow from their lengths.

/** Bits of the code of each byte, and of the end of the string (256). */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const LENGTH_MAX = 30;
const PADDING_BITS_MAX = 7;

/** Symbols in the order of their codes; for each length its first code and where its symbols begin. */
const symbols: number[] = [];
const firstCode: number[] = [];
const firstSymbol: number[] = [];
for (let length = 0, code = 0; length <= LENGTH_MAX; length++) {
  firstCode[length] = code;
  firstSymbol[length] = symbols.length;
  for (const [symbol, bits] of LENGTHS.entries()) if (bits === length) symbols.push(symbol);
  code = (code + symbols.length - firstSymbol[length]!) * 2;
}
firstSymbol.push(symbols.length);

/** Undefined: no such code, or a padding that is not the beginning of the end's code. */
export function decodeHuffman(bytes: Uint8Array): string | undefined {
  const text: number[] = [];
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      if (++length > LENGTH_MAX) return undefined;
      const at = firstSymbol[length]! + code - firstCode[length]!;
      if (at >= firstSymbol[length + 1]!) continue;
      const symbol = symbols[at]!;
      if (symbol > 255) return undefined;
      text.push(symbol);
      code = 0;
      length = 0;
    }
  }
  const isPadding = length <= PADDING_BITS_MAX && code === 2 ** length - 1;
  return isPadding ? Buffer.from(text).toString('latin1') : undefined;
}
