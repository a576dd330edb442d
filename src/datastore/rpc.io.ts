// gRPC to etcd: @grpc/grpc-js carries, protobuf-es encodes. One channel per store.
import { type PeerCertificate, checkServerIdentity as tlsCheck } from 'node:tls';
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

/** PEM of the authorities, and of what this client shows. Absent authorities: the system's. */
export interface Tls {
  readonly authorities?: Buffer;
  readonly certificate?: Buffer;
  readonly key?: Buffer;
}

interface Target {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly isSecure: boolean;
  readonly isNumeric: boolean;
}

/** `http://host:port` or `https://host:port` addresses, all alike, as one gRPC target. */
function targetOf(endpoints: readonly string[]): Target {
  const parts = endpoints.map((endpoint) => {
    const match = /^(?:(https?):\/\/)?([^/]+)\/?$/.exec(endpoint);
    if (!match) throw new Error(`etcd endpoint '${endpoint}': use http(s)://host:port`);
    return { isSecure: match[1] === 'https', address: match[2]! };
  });
  const isSecure = parts.some((part) => part.isSecure);
  if (isSecure && !parts.every((part) => part.isSecure))
    throw new Error(`etcd endpoints ${endpoints.join(',')}: use https for all of them or for none`);
  const addresses = parts.map(({ address }) => address);
  const isNumeric = addresses.every((address) => /^\d+\.\d+\.\d+\.\d+:\d+$/.test(address));
  const name = isNumeric ? `ipv4:${addresses.join(',')}` : addresses[0]!;
  const hosts = addresses.map((address) => address.replace(/:\d+$/, ''));
  return { name, hosts, isSecure, isNumeric };
}

// The library asks every member's certificate for the first one's name: any member's will do. An
// address is no server name (RFC 6066, section 3): another is sent in its place.
function clientOf({ name, hosts, isSecure, isNumeric }: Target, tls: Tls): grpc.Client {
  if (!isSecure) return new grpc.Client(name, grpc.credentials.createInsecure(), OPTIONS);
  const { authorities = null, key = null, certificate = null } = tls;
  const checkServerIdentity = (_name: string, shown: PeerCertificate): Error | undefined => {
    const wrong = hosts.map((host) => tlsCheck(host, shown));
    return wrong.includes(undefined) ? undefined : wrong[0];
  };
  const verifying = { checkServerIdentity };
  const credentials = grpc.credentials.createSsl(authorities, key, certificate, verifying);
  const named = isNumeric ? { 'grpc.ssl_target_name_override': 'etcd' } : {};
  return new grpc.Client(name, credentials, { ...OPTIONS, ...named });
}

export function openRpc(endpoints: readonly string[], tls: Tls = {}): Rpc {
  const client = clientOf(targetOf(endpoints), tls);
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
