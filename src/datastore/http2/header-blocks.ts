// Headers may take several frames, which nothing may interrupt (RFC 9113, section 4.3).
import { contentOf, FLAG, FRAME, type Frame } from './frames.ts';
import { decodeHeaders } from './hpack.ts';

const BYTES_MAX = 1 << 16;

export interface Headers {
  /** The frame that they began with. */
  readonly frame: Pick<Frame, 'stream' | 'flags'>;
  readonly fields: ReadonlyMap<string, string>;
}

export class HeaderBlocks {
  private partial: { readonly frame: Frame; readonly blocks: Buffer[] } | undefined;

  /** Throws when a frame of another type comes while headers are incomplete. */
  mayCome({ type }: Frame): void {
    if (this.partial && type !== FRAME.CONTINUATION)
      throw new Error('HTTP/2: a block of headers is interrupted');
  }

  /** Of HEADERS and CONTINUATION; undefined: they go on. Throws what the server does wrong. */
  take(frame: Frame): Headers | undefined {
    const isFirst = frame.type === FRAME.HEADERS;
    const first = isFirst ? frame : this.partial?.frame;
    if (!first || first.stream !== frame.stream)
      throw new Error('HTTP/2: headers go on that did not begin');
    const content = isFirst ? contentOf(frame) : frame.payload;
    const blocks = [...(this.partial?.blocks ?? []), content];
    const size = blocks.reduce((sum, block) => sum + block.length, 0);
    if (size > BYTES_MAX) throw new Error('HTTP/2: the headers are too large');
    this.partial = undefined;
    if ((frame.flags & FLAG.END_HEADERS) !== 0) {
      const fields = decodeHeaders(blocks.length === 1 ? content : Buffer.concat(blocks));
      return { frame: first, fields };
    }
    blocks[blocks.length - 1] = Buffer.from(content);
    this.partial = { frame: first, blocks };
    return undefined;
  }
}
