// Connection tracking: forget the flows of addresses that left this node, so that their next owner
// does not inherit them. To find them the kernel walks its whole table (some 15 ms): off the main thread,
// and callers should gather addresses. An empty table is not walked at all.
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import { AF, check, errnoText, libc } from '../libc.io.ts';
import type { Encoded } from '../netlink/link.ts';
import { ackOf, type Message, MessageWriter, messagesIn, NLMSG } from '../netlink/message.ts';
import { closeNetfilter, NETLINK, openNetlink } from '../rtnetlink.io.ts';
import {
  type Connection,
  connectionOf,
  encodeBar,
  encodeDeleteFlow,
  encodeDumpFlows,
  type Flow,
  flowAddress,
  flowOf,
} from './flow.ts';

const RECEIVE_BYTES = 1 << 16;
const MESSAGE_BYTES_MAX = 512;
const COUNT = '/proc/sys/net/netfilter/nf_conntrack_count';
const ENOENT = 2;
const EEXIST = 17;
const TCP = 6;
const BAR_TRIES_MAX = 10;

/** Deletes entries from and to the addresses; none is fine. Resolves when they are gone. */
export type DeleteFlows = (ips: readonly Ip[]) => Promise<void>;

/** Runs work in some network namespace. */
type Within = <T>(work: () => T) => T;

const HERE: Within = (work) => work();

/** `within` switches to another namespace than this process's own. */
export const openFlowDeleter =
  (within: Within = HERE): DeleteFlows =>
  (ips) =>
    deleteAll(within, ips);

/** The flows of a network namespace, for who judges them one by one. */
export interface Connections {
  /** Those from or to the addresses. */
  of(ips: readonly Ip[]): Promise<readonly Connection[]>;
  /** Those that ended meanwhile are fine. */
  delete(connections: readonly Connection[]): Promise<void>;
  /** Deletes them, and keeps TCP's from going on in the other direction. */
  cut(connections: readonly Connection[]): Promise<void>;
}

export const openConnections = (within: Within = HERE): Connections => ({
  of: async (ips) => {
    if (ips.length === 0 || within(isEmpty)) return [];
    const addresses = new Set(ips.map(flowAddress));
    const found: (readonly Connection[])[] = [];
    for (const family of new Set(ips.map(familyOf)))
      found.push(
        await onSocket(within, (fd) => flowsOf(fd, NUMBER[family], addresses, connectionOf)),
      );
    return found.flat();
  },
  delete: (connections) =>
    onSocket(within, async (fd) => {
      for (const { flow } of connections) await deleteFlow(fd, flow);
    }),
  cut: (connections) =>
    onSocket(within, async (fd) => {
      for (const { flow, reply, protocol } of connections) {
        await deleteFlow(fd, flow);
        if (protocol === TCP) await bar(fd, flow, reply);
      }
    }),
});

/** Meanwhile the other end may have sent something, and so begun a flow: that goes too. */
async function bar(fd: number, flow: Flow, reply: Buffer): Promise<void> {
  for (let tries = 0; tries < BAR_TRIES_MAX; tries++) {
    const errno = await ask(fd, encodeBar(flow, reply));
    if (errno === 0) return;
    if (errno !== EEXIST) throw refusal(errno);
    await deleteFlow(fd, { ...flow, id: undefined });
  }
}

const NUMBER = { 4: AF.INET, 6: AF.INET6 } as const;

/** Of this process's own namespace, and used by nobody now. */
const idle: number[] = [];
const IDLE_MAX = 2;

// Whoever closes such a socket waits for the transaction of nf_tables under way, on a thread of the pool
// that others need: it is kept, unless an answer may still come on it.
async function onSocket<T>(within: Within, work: (fd: number) => Promise<T>): Promise<T> {
  const fd =
    (within === HERE ? idle.pop() : undefined) ??
    within(() => openNetlink({ protocol: NETLINK.NETFILTER }));
  let isDone = false;
  try {
    const result = await work(fd);
    isDone = true;
    return result;
  } finally {
    if (isDone && within === HERE && idle.length < IDLE_MAX) idle.push(fd);
    else closeNetfilter(fd);
  }
}

/** The flows of this process's own network namespace. */
export const deleteFlows: DeleteFlows = openFlowDeleter();

async function deleteAll(within: Within, ips: readonly Ip[]): Promise<void> {
  try {
    if (within(isEmpty)) return;
    for (const family of [4, 6] as const) {
      const own = ips.filter((ip) => familyOf(ip) === family);
      if (own.length > 0) await deleteOf(within, family, new Set(own.map(flowAddress)));
    }
  } catch (cause) {
    throw new OpError('delete flows', cause);
  }
}

/** Without the file there is no connection tracking, and so no flow. */
function isEmpty(): boolean {
  try {
    return readFileSync(COUNT, 'utf8').trim() === '0';
  } catch (cause) {
    if ((cause as { code?: string }).code === 'ENOENT') return true;
    throw cause;
  }
}

async function deleteOf(
  within: Within,
  family: 4 | 6,
  addresses: ReadonlySet<string>,
): Promise<void> {
  await onSocket(within, async (fd) => {
    for (const flow of await flowsOf(fd, NUMBER[family], addresses, flowOf))
      await deleteFlow(fd, flow);
  });
}

const sendAsync = promisify(libc.send.async) as (...args: unknown[]) => Promise<bigint>;
const receiveAsync = promisify(libc.recv.async) as (...args: unknown[]) => Promise<bigint>;

async function send(fd: number, encode: Encoded): Promise<void> {
  const writer = new MessageWriter(MESSAGE_BYTES_MAX);
  encode(writer, 1);
  const bytes = writer.finish();
  check('send', Number(await sendAsync(fd, bytes, bytes.length, 0)));
}

async function flowsOf<T>(
  fd: number,
  family: number,
  addresses: ReadonlySet<string>,
  read: (message: Message, addresses: ReadonlySet<string>) => T | undefined,
): Promise<readonly T[]> {
  await send(fd, encodeDumpFlows(family));
  const found: T[] = [];
  const buffer = Buffer.alloc(RECEIVE_BYTES);
  for (;;) {
    const length = check('receive', Number(await receiveAsync(fd, buffer, buffer.length, 0)));
    for (const message of messagesIn(buffer.subarray(0, length))) {
      if (message.type === NLMSG.DONE) return found;
      if (message.type === NLMSG.ERROR) throw refusal(ackOf(message).errno);
      const flow = read(message, addresses);
      if (flow) found.push(flow);
    }
  }
}

/** The errno of the answer. */
async function ask(fd: number, encode: Encoded): Promise<number> {
  await send(fd, encode);
  const buffer = Buffer.alloc(MESSAGE_BYTES_MAX);
  const length = check('receive', Number(libc.recv(fd, buffer, buffer.length, 0)));
  const [message] = messagesIn(buffer.subarray(0, length));
  return message ? ackOf(message).errno : 0;
}

async function deleteFlow(fd: number, flow: Flow): Promise<void> {
  const errno = await ask(fd, encodeDeleteFlow(flow));
  if (errno !== 0 && errno !== ENOENT) throw refusal(errno); // it may have ended by itself
}

const refusal = (errno: number): OpError => new OpError('conntrack', errnoText(errno), errno);
