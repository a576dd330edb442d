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
  transaction(request: MessageInitShape<typeof pb.TxnRequestSchema>): Promise<pb.TxnResponse>;
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
function addressesOf(endpoints: readonly string[]): readonly Address[] {
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

export function openRpc(endpoints: readonly string[], tls: Tls = {}): Rpc {
  const channel = openChannel(addressesOf(endpoints), tls);
  const unary =
    <I extends DescMessage, O extends DescMessage>(path: string, input: I, output: O) =>
    async (request: MessageInitShape<I>): Promise<MessageShape<O>> => {
      try {
        const reply = await channel.call(path, toBinary(input, create(input, request)));
        return fromBinary(output, reply);
      } catch (cause) {
        throw new OpError(`etcd ${path.slice(path.lastIndexOf('/') + 1)}`, cause);
      }
    };
  return {
    range: unary('/etcdserverpb.KV/Range', pb.RangeRequestSchema, pb.RangeResponseSchema),
    transaction: unary('/etcdserverpb.KV/Txn', pb.TxnRequestSchema, pb.TxnResponseSchema),
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
