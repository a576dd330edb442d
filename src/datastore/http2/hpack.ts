// HPACK (RFC 7541) without a dynamic table: our SETTINGS forbid it to the server, and what we send
// are a few constant blocks of literals.
import { decodeHuffman } from './huffman.ts';

/** Names and values of the static table (appendix A), from 1 on; an absent value is empty. */
const STATIC: readonly (readonly [name: string, value?: string])[] = [
  [''],
  [':authority'],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((value) => [':status', value] as const),
  ['accept-charset'],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range ' +
    'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
    'if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
    'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary ' +
    'via www-authenticate'
  )
    .split(' ')
    .map((name) => [name] as const),
];

/** Literals that no one keeps (section 6.2.2), names in lower case. */
export function encodeHeaders(headers: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

// Section 5.1.
function integer(value: number, prefixBits: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Buffer.of(value);
  const bytes = [most];
  let rest = value - most;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** The last of fields of the same name. Throws what is wrong with the block. */
export function decodeHeaders(block: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  const reader = new Reader(block);
  while (!reader.atEnd) {
    const first = reader.peek();
    if ((first & 0xe0) === 0x20) {
      if (reader.integer(5) !== 0) throw new Error('HPACK: a dynamic table was not allowed');
      continue;
    }
    const indexed = (first & 0x80) !== 0;
    const [name, value = ''] = reader.named(indexed ? 7 : (first & 0x40) !== 0 ? 6 : 4);
    fields.set(name, indexed ? value : reader.text());
  }
  return fields;
}

class Reader {
  private readonly block: Buffer;
  private at = 0;

  constructor(block: Buffer) {
    this.block = block;
  }

  get atEnd(): boolean {
    return this.at >= this.block.length;
  }

  peek(): number {
    const byte = this.block[this.at];
    if (byte === undefined) throw new Error('HPACK: the block ends early');
    return byte;
  }

  private byte(): number {
    const byte = this.peek();
    this.at++;
    return byte;
  }

  integer(prefixBits: number): number {
    const most = 2 ** prefixBits - 1;
    let value = this.byte() & most;
    if (value < most) return value;
    for (let factor = 1; factor <= 2 ** 21; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error('HPACK: an integer is too large');
  }

  /** A field by index; of a literal, 0 means that its name follows. */
  named(prefixBits: number): readonly [name: string, value?: string] {
    const index = this.integer(prefixBits);
    if (index === 0 && prefixBits < 7) return [this.text()];
    const field = index === 0 ? undefined : STATIC[index];
    if (!field) throw new Error(`HPACK: there is no field ${index}`);
    return field;
  }

  text(): string {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.block.subarray(this.at, this.at + length);
    if (bytes.length < length) throw new Error('HPACK: the block ends early');
    this.at += length;
    if (!isHuffman) return bytes.toString('latin1');
    const decoded = decodeHuffman(bytes);
    if (decoded === undefined) throw new Error('HPACK: a text is no Huffman code');
    return decoded;
  }
}
