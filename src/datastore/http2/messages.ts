// gRPC's messages in a stream of bytes (gRPC over HTTP2, "Length-Prefixed-Message").

const HEAD_BYTES = 5;
const MESSAGE_BYTES_MAX = 64 << 20;

export function encodeMessage(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + message.length);
  bytes[0] = 0; // not compressed
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, HEAD_BYTES);
  return bytes;
}

function lengthIn(head: Buffer): number {
  if (head[0] !== 0) throw new Error('gRPC: a message is compressed');
  const length = head.readUInt32BE(1);
  if (length > MESSAGE_BYTES_MAX) throw new Error(`gRPC: a message has ${length} bytes`);
  return length;
}

/** Cuts the content of one stream into messages. */
export class MessageReader {
  private parts: Buffer[] = [];
  private bytes = 0;
  /** Of the first message with its head; 0: not known. */
  private needed = 0;

  /** Messages of their own memory: `content` may be overwritten. Throws on a message we do not take. */
  *messages(content: Buffer): Generator<Buffer> {
    this.parts.push(Buffer.from(content));
    this.bytes += content.length;
    while (this.bytes >= Math.max(this.needed, HEAD_BYTES)) {
      if (this.needed === 0) this.needed = HEAD_BYTES + lengthIn(this.joinedHead());
      if (this.bytes < this.needed) return;
      const all = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
      const message = all.subarray(HEAD_BYTES, this.needed);
      this.parts = all.length > this.needed ? [all.subarray(this.needed)] : [];
      this.bytes -= this.needed;
      this.needed = 0;
      yield message;
    }
  }

  private joinedHead(): Buffer {
    if (this.parts[0]!.length < HEAD_BYTES) this.parts = [Buffer.concat(this.parts)];
    return this.parts[0]!;
  }
}

/** Of the trailers (gRPC over HTTP2, "Status-Message": percent-encoded UTF-8). */
export function statusMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
