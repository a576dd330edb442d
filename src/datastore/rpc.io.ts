// gRPC to etcd: @grpc/grpc-js carries, protobuf-es encodes. One channel per store.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { OpError } from '../base/op-error.ts';
import * as pb from './gen/etcd_pb.js';

/** Time after which a call counts as failed. */
const DEADLINE_MILLISECONDS = 5000;
const RECEIVE_BYTES_MAX = 64 << 20;

// A black-holed connection is noticed within keepalive time + timeout.
const OPTIONS: grpc.ChannelOptions = {
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.service_config': '{"loadBalancingConfig":[{"round_robin":{}}]}',
};

const encode =
  <T extends DescMessage>(type: T) =>
  (message: MessageShape<T>) =>
    Buffer.from(toBinary(type, message));
const decode =
  <T extends DescMessage>(type: T) =>
  (bytes: Buffer): MessageShape<T> =>
    fromBinary(type, bytes);

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

/** `http://host:port` addresses as one gRPC target. */
function targetOf(endpoints: readonly string[]): string {
  const addresses = endpoints.map((endpoint) => {
    const match = /^(?:(https?):\/\/)?([^/]+)\/?$/.exec(endpoint);
    if (!match || match[1] === 'https') {
      throw new Error(
        `etcd endpoint '${endpoint}': use http://host:port (TLS is not supported yet)`,
      );
    }
    return match[2]!;
  });
  const numeric = addresses.every((address) => /^\d+\.\d+\.\d+\.\d+:\d+$/.test(address));
  return numeric ? `ipv4:${addresses.join(',')}` : addresses[0]!;
}

export function openRpc(endpoints: readonly string[]): Rpc {
  const client = new grpc.Client(targetOf(endpoints), grpc.credentials.createInsecure(), OPTIONS);
  const unary =
    <I extends DescMessage, O extends DescMessage>(path: string, input: I, output: O) =>
    (request: MessageInitShape<I>): Promise<MessageShape<O>> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          path,
          encode(input),
          decode(output),
          create(input, request),
          { deadline: Date.now() + DEADLINE_MILLISECONDS },
          (error, reply) => {
            if (reply !== undefined) resolve(reply);
            else
              reject(
                new OpError(
                  `etcd ${path.slice(path.lastIndexOf('/') + 1)}`,
                  error?.details ?? error,
                ),
              );
          },
        );
      });
  return {
    range: unary('/etcdserverpb.KV/Range', pb.RangeRequestSchema, pb.RangeResponseSchema),
    transaction: unary('/etcdserverpb.KV/Txn', pb.TxnRequestSchema, pb.TxnResponseSchema),
    watch: () => openWatch(client),
    close: () => client.close(),
  };
}

function openWatch(client: grpc.Client): WatchStream {
  const stream = client.makeBidiStreamRequest(
    '/etcdserverpb.Watch/Watch',
    encode(pb.WatchRequestSchema),
    decode(pb.WatchResponseSchema),
  );
  stream.on('error', () => {}); // `end` tells; a cancelled stream must not throw
  return {
    send: (request) => void stream.write(create(pb.WatchRequestSchema, request)),
    on: ({ data, end }) => {
      stream.on('data', data);
      stream.on('error', (error: Error) => end(error));
      stream.on('end', () => end(new Error('the watch stream ended')));
    },
    cancel: () => stream.cancel(),
  };
}
