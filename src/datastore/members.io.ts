// etcd itself: its members and their state, and what keeps it in order.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { OpError } from '../base/op-error.ts';
import { openChannel } from './channel.io.ts';
import type { Tls } from './connection.io.ts';
import * as pb from './gen/etcd_pb.js';
import { addressesOf } from './rpc.io.ts';

/** A member that is put in order answers when it is done. */
const DEFRAGMENT_MILLISECONDS = 300_000;

export interface Member {
  readonly id: bigint;
  /** Empty until it has started once. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** Empty until it has started once. */
  readonly clientUrls: readonly string[];
  /** It copies the others, and neither votes nor answers. */
  readonly isLearner: boolean;
}

export interface MemberStatus {
  readonly id: bigint;
  readonly version: string;
  /** Of the member that leads; 0: none does. */
  readonly leader: bigint;
  readonly isLearner: boolean;
  /** Of its file, and what of it is in use. */
  readonly bytes: number;
  readonly bytesInUse: number;
  readonly revision: bigint;
  readonly raftTerm: bigint;
  readonly raftIndex: bigint;
  /** What is wrong, in etcd's words. */
  readonly errors: readonly string[];
}

/** Every call throws OpError with etcd's words. */
export interface EtcdMembers {
  /** Of the member that is asked. */
  status(): Promise<MemberStatus>;
  /** All; `agreed`: only if a majority agrees that these are they. */
  list(agreed: boolean): Promise<readonly Member[]>;
  addLearner(peerUrl: string): Promise<bigint>;
  promote(id: bigint): Promise<void>;
  remove(id: bigint): Promise<void>;
  setPeerUrl(id: bigint, peerUrl: string): Promise<void>;
  /** The member that is asked gives space back; it answers nobody meanwhile. */
  defragment(): Promise<void>;
  /** The whole state of the member that is asked: a file of bbolt, and its SHA-256 behind it. */
  snapshot(take: (bytes: Uint8Array) => void): Promise<void>;
  close(): void;
}

/** `tls` is asked for each connection. */
export function openEtcdMembers(endpoints: readonly string[], tls: () => Tls): EtcdMembers {
  const channel = openChannel(addressesOf(endpoints), tls);
  const call = async <I extends DescMessage, O extends DescMessage>(
    method: string,
    [input, output]: readonly [I, O],
    request: MessageInitShape<I>,
    milliseconds?: number,
  ): Promise<MessageShape<O>> => {
    const message = toBinary(input, create(input, request));
    try {
      return fromBinary(
        output,
        await channel.call(`/etcdserverpb.${method}`, message, milliseconds),
      );
    } catch (cause) {
      throw new OpError(`etcd ${method.replace(/^.*\//, '')}`, cause);
    }
  };
  return {
    status: async () => statusOf(await call('Maintenance/Status', SHAPES.status, {})),
    list: async (agreed) => {
      const { members } = await call('Cluster/MemberList', SHAPES.list, { linearizable: agreed });
      return members.map(memberOf);
    },
    addLearner: async (peerUrl) => {
      const request = { peerUrls: [peerUrl], isLearner: true };
      const { member } = await call('Cluster/MemberAdd', SHAPES.add, request);
      if (!member) throw new OpError('etcd MemberAdd', 'the reply has no member');
      return member.id;
    },
    promote: async (id) => void (await call('Cluster/MemberPromote', SHAPES.promote, { id })),
    remove: async (id) => void (await call('Cluster/MemberRemove', SHAPES.remove, { id })),
    setPeerUrl: async (id, peerUrl) =>
      void (await call('Cluster/MemberUpdate', SHAPES.update, { id, peerUrls: [peerUrl] })),
    defragment: async () =>
      void (await call('Maintenance/Defragment', SHAPES.defragment, {}, DEFRAGMENT_MILLISECONDS)),
    snapshot: (take) =>
      new Promise((resolve, reject) => {
        const listener = {
          message: (bytes: Buffer) => take(fromBinary(pb.SnapshotResponseSchema, bytes).blob),
          end: ({ code, message }: { code: number; message: string }) =>
            code === 0 ? resolve() : reject(new OpError('etcd Snapshot', message)),
        };
        channel.stream('/etcdserverpb.Maintenance/Snapshot', listener, new Uint8Array());
      }),
    close: () => channel.close(),
  };
}

const SHAPES = {
  status: [pb.StatusRequestSchema, pb.StatusResponseSchema],
  list: [pb.MemberListRequestSchema, pb.MemberListResponseSchema],
  add: [pb.MemberAddRequestSchema, pb.MemberAddResponseSchema],
  promote: [pb.MemberPromoteRequestSchema, pb.MemberListResponseSchema],
  remove: [pb.MemberRemoveRequestSchema, pb.MemberListResponseSchema],
  update: [pb.MemberUpdateRequestSchema, pb.MemberListResponseSchema],
  defragment: [pb.DefragmentRequestSchema, pb.DefragmentResponseSchema],
} as const;

const memberOf = ({ id, name, peerUrls, clientUrls, isLearner }: pb.Member): Member => ({
  id,
  name,
  peerUrls,
  clientUrls,
  isLearner,
});

const statusOf = (reply: pb.StatusResponse): MemberStatus => ({
  id: reply.header?.memberId ?? 0n,
  version: reply.version,
  leader: reply.leader,
  isLearner: reply.isLearner,
  bytes: Number(reply.dbSize),
  bytesInUse: Number(reply.dbSizeInUse),
  revision: reply.header?.revision ?? 0n,
  raftTerm: reply.raftTerm,
  raftIndex: reply.raftIndex,
  errors: reply.errors,
});
