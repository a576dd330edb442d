// What callers of a session see of a stream, and what the session keeps of it.
import type { MessageReader } from './messages.ts';

/** gRPC status codes that arise here. */
export const STATUS = { OK: 0, UNKNOWN: 2, UNAVAILABLE: 14 } as const;

export interface Status {
  readonly code: number;
  readonly message: string;
  /** The server did nothing for it: it may be asked again. */
  readonly isUntouched?: true;
}

export interface StreamListener {
  message(bytes: Buffer): void;
  /** Once, unless the stream was cancelled. */
  end(status: Status): void;
}

/** Callers only hand it back. */
export interface Stream {
  /** 0: it waits until the server takes one more. */
  id: number;
  readonly headers: Buffer;
  readonly listener: StreamListener;
  readonly reader: MessageReader;
  /** Not sent yet. */
  outgoing: Buffer;
  /** No more than `outgoing` will be sent. */
  isLast: boolean;
  /** The server knows that it has everything. */
  isSent: boolean;
  window: number;
  /** Since window was given back. */
  received: number;
}
