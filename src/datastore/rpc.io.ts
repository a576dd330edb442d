// etcd's calls over gRPC; protobuf-es encodes.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { OpError } from '../base/op-error.ts';
import { type Channel, openChannel } from './channel.io.ts';
import type { Address, Tls } from './connection.io.ts';
import * as pb from './gen/etcd_pb.js';

export type { Tls } from './connection.io.ts';

export interface Rpc {
  /** Throws OpError; for a write the outcome is then unknown unless the call never left. */
  range(request: MessageInitShape<typeof pb.RangeRequestSchema>): Promise<pb.RangeResponse>;
  /** Of a TxnRequest's bytes. */
  transaction(request: Uint8Array): Promise<pb.TxnResponse>;
  watch(): WatchStream;
  close(): void;
}

export interface WatchStream {
  send(request: MessageInitShape<typeof pb.WatchRequestSchema>): void;
  on(listener: {
    readonly data: (reply: pb.WatchResponse) => void;
    readonly end: (cause: Error) => void;
  }): void;
  cancel(): void;
}

const PORT = { http: 80, https: 443 } as const;

/** `http://host:port` or `https://host:port` addresses, all alike. */
export function addressesOf(endpoints: readonly string[]): readonly Address[] {
  const addresses = endpoints.map((endpoint) => {
    const match = /^(?:(https?):\/\/)?(\[[^\]]+\]|[^/:]+)(?::(\d+))?\/?$/.exec(endpoint);
    if (!match) throw new Error(`etcd endpoint '${endpoint}': use http(s)://host:port`);
    const [, scheme = 'http', host, port] = match;
    const isSecure = scheme === 'https';
    return {
      host: host!.replace(/^\[|\]$/g, ''),
      port: Number(port ?? PORT[isSecure ? 'https' : 'http']),
      isSecure,
    };
  });
  if (new Set(addresses.map(({ isSecure }) => isSecure)).size > 1)
    throw new Error(`etcd endpoints ${endpoints.join(',')}: use https for all of them or for none`);
  return addresses;
}

const NO_TLS = (): Tls => ({});

/** `tls` is asked for each connection. */
export function openRpc(endpoints: readonly string[], tls = NO_TLS): Rpc {
  const channel = openChannel(addressesOf(endpoints), tls);
  const call = async <O extends DescMessage>(
    method: string,
    output: O,
    request: Uint8Array,
  ): Promise<MessageShape<O>> => {
    try {
      return fromBinary(output, await channel.call(`/etcdserverpb.KV/${method}`, request));
    } catch (cause) {
      throw new OpError(`etcd ${method}`, cause);
    }
  };
  return {
    range: (request) =>
      call(
        'Range',
        pb.RangeResponseSchema,
        toBinary(pb.RangeRequestSchema, create(pb.RangeRequestSchema, request)),
      ),
    transaction: (request) => call('Txn', pb.TxnResponseSchema, request),
    watch: () => openWatch(channel),
    close: () => channel.close(),
  };
}

function openWatch(channel: Channel): WatchStream {
  let data = (_reply: pb.WatchResponse): void => {};
  let end = (_cause: Error): void => {};
  const stream = channel.stream('/etcdserverpb.Watch/Watch', {
    message: (bytes) => data(fromBinary(pb.WatchResponseSchema, bytes)),
    end: ({ message }) => end(new Error(message || 'the watch stream ended')),
  });
  return {
    send: (request) =>
      stream.send(toBinary(pb.WatchRequestSchema, create(pb.WatchRequestSchema, request))),
    on: (listener) => ({ data, end } = listener),
    cancel: () => stream.cancel(),
  };
}
