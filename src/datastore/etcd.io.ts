// The datastore on etcd v3: paged lists at one revision, transactions by modification revision,
// and watches that resume where they stopped and relist when history is gone.
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import type * as pb from './gen/etcd_pb.js';
import { openRpc, type Rpc, type Tls } from './rpc.io.ts';
import type { Compare, KeyValue, Listing, Store, TransactionResult, Write } from './store.ts';
import { encodeTransaction } from './transaction.ts';
import { follow } from './watch.io.ts';

/** Keys of one reply: never rely on unlimited messages, and reading one holds up everything else. */
const PAGE = 500n;

export const bytesOfKey = (text: string): Uint8Array => Buffer.from(text);

/** The first key after every key that starts with the prefix: its last byte plus one. */
export function endOfPrefix(prefix: string): Uint8Array {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end[last] = end[last]! + 1; // text is UTF-8: the last byte is never 255
  return end;
}

export const keyValueOf = (kv: pb.KeyValue): KeyValue => ({
  key: Buffer.from(kv.key).toString(),
  value: Buffer.from(kv.value).toString(),
  revision: kv.modRevision,
});

export interface EtcdOptions {
  /** `http://host:port` or `https://host:port`, one or more. */
  readonly endpoints: readonly string[];
  /** For https; asked for each connection. */
  readonly tls?: () => Tls;
  readonly log?: Log;
}

export function openEtcdStore({ endpoints, tls, log }: EtcdOptions): Store {
  const rpc = openRpc(endpoints, tls);
  return {
    get: (key) => get(rpc, key),
    list: (prefix) => list(rpc, prefix),
    transaction: (compares, writes) => transaction(rpc, compares, writes),
    watch: (prefix, watcher, signal) =>
      follow({ rpc, list: () => list(rpc, prefix), prefix, watcher, signal, log }),
    close: () => rpc.close(),
  };
}

async function get(rpc: Rpc, key: string): Promise<KeyValue | undefined> {
  const { kvs } = await rpc.range({ key: bytesOfKey(key) });
  return kvs[0] && keyValueOf(kvs[0]);
}

async function list(rpc: Rpc, prefix: string): Promise<Listing> {
  const items: KeyValue[] = [];
  let revision = 0n; // 0: now; then pinned to the first page's
  for (let key = bytesOfKey(prefix); ; ) {
    const reply = await rpc.range({ key, rangeEnd: endOfPrefix(prefix), limit: PAGE, revision });
    if (revision === 0n) revision = reply.header?.revision ?? 0n;
    for (const kv of reply.kvs) items.push(keyValueOf(kv));
    const last = reply.kvs.at(-1);
    if (!reply.more || !last) return { items, revision };
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

async function transaction(
  rpc: Rpc,
  compares: readonly Compare[],
  writes: readonly Write[],
): Promise<TransactionResult> {
  const reply = await rpc.transaction(encodeTransaction(compares, writes));
  if (!reply.header) throw new OpError('etcd Txn', 'the reply has no header');
  if (reply.succeeded) return { kind: 'committed', revision: reply.header.revision };
  const current = reply.responses.map(({ response }) => {
    const kv = response.case === 'responseRange' ? response.value.kvs[0] : undefined;
    return kv && keyValueOf(kv);
  });
  return { kind: 'conflict', current };
}
