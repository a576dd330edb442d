// BGP's TCP sockets between two namespaces: bound source, MD5 key, GTSM, for IPv4 and IPv6.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../../test/lab/command.ts';
import { netnsPath, type TestNetns, withNetns } from '../../test/lab/netns.ts';
import type { OpError } from '../base/op-error.ts';
import { type Ip, ip } from '../net/ip.ts';
import { inNetnsAt } from './namespaces.io.ts';
import { openKernelAt } from './netns.io.ts';
import {
  type ConnectOptions,
  connectFd,
  type ListenOptions,
  listenFd,
  setMd5Key,
} from './tcp.io.ts';

const PORT = 10179;
const A = { v4: ip('10.99.0.1'), v6: ip('fd00:99::1') };
const B = { v4: ip('10.99.0.2'), v6: ip('fd00:99::2') };
let namespaces: readonly TestNetns[] = [];
let server = '';
let client = '';

before(async () => {
  namespaces = withNetns(`ckt-kernel-${process.pid}-tcp`, ['s', 'c']);
  [server, client] = namespaces.map(({ name }) => netnsPath(name)) as [string, string];
  const here = openKernelAt(server);
  const there = here.enter(client);
  const pair = { name: 'one', peer: 'two', peerNetns: client, mtu: 1500 };
  const ends = [
    { kernel: here, index: (await here.addVeth(pair)).index, ips: A },
    { kernel: there, index: there.link('two')!.index, ips: B },
  ];
  for (const { kernel, index: linkIndex, ips } of ends) {
    kernel.apply([
      { kind: 'setLink', index: linkIndex, up: true },
      { kind: 'addAddress', linkIndex, ip: ips.v4, prefixLength: 24 },
      { kind: 'addAddress', linkIndex, ip: ips.v6, prefixLength: 64 },
    ]);
    kernel.close();
  }
});
after(() => {
  for (const { remove } of namespaces) remove();
});

interface Session {
  /** The address that the server sees. */
  readonly remote: string | undefined;
  readonly text: string;
}

interface Attempt {
  readonly session: Promise<Session>;
  readonly listening: number;
  close(): void;
}

/** The client says hello as soon as it is connected; the server hears it, or never does. */
async function attempt(
  listen: Partial<ListenOptions>,
  connect: Partial<ConnectOptions>,
  family: 'v4' | 'v6' = 'v4',
): Promise<Attempt> {
  const listening = listenFd({ address: A[family], port: PORT, netnsPath: server, ...listen });
  const heard = Promise.withResolvers<Session>();
  const accepting = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (text) => {
      heard.resolve({ remote: socket.remoteAddress, text: String(text) });
      socket.destroy();
    });
  });
  accepting.listen({ fd: listening });
  await once(accepting, 'listening');
  const fd = connectFd({ source: B[family], netnsPath: client, ...connect });
  const calling = new Socket({ fd });
  calling.on('error', () => {});
  calling.connect({ host: A[family], port: PORT }, () => calling.write('hello'));
  const close = (): void => {
    calling.destroy();
    accepting.close();
  };
  return { session: heard.promise, listening, close };
}

/** A counter of the kernel, of the server's namespace. */
function dropped(name: string): number {
  const text = inNetnsAt(server, () => readFileSync('/proc/thread-self/net/netstat', 'utf8'));
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf(name)]);
}

async function connects(...args: Parameters<typeof attempt>): Promise<Session> {
  const { session, close } = await attempt(...args);
  try {
    return await session;
  } finally {
    close();
  }
}

async function isDropped(counter: string, ...args: Parameters<typeof attempt>): Promise<void> {
  const before = dropped(counter);
  const { session, close } = await attempt(...args);
  let heard = false;
  void session.then(() => {
    heard = true;
  });
  try {
    await eventually(`${counter} counts`, () => dropped(counter) > before);
    assert.equal(heard, false);
  } finally {
    close();
  }
}

for (const family of ['v4', 'v6'] as const) {
  const key = (peer: Ip, text: string) => ({ md5Keys: [{ peer, key: text }] });
  const [here, there] = [A[family], B[family]];

  test(`TCP ${family}: from the bound source, both ways in their namespaces`, async () => {
    const { remote, text } = await connects({}, {}, family);
    assert.deepEqual([remote, text], [there, 'hello']);
  });

  test(`TCP ${family}: the same key and GTSM at both ends`, async () => {
    const hop = { ttl: 255, minTtl: 255 };
    const listen = { ...key(there, 'secret'), ...hop };
    const connect = { destination: here, md5Key: 'secret', ...hop };
    assert.equal((await connects(listen, connect, family)).text, 'hello');
  });

  test(`TCP ${family}: another key is dropped`, async () => {
    const connect = { destination: here, md5Key: 'other' };
    await isDropped('TCPMD5Failure', key(there, 'secret'), connect, family);
  });

  test(`TCP ${family}: no key is dropped until the key is removed`, async () => {
    const before = dropped('TCPMD5NotFound');
    const { session, listening, close } = await attempt(key(there, 'secret'), {}, family);
    try {
      await eventually('a SYN is dropped', () => dropped('TCPMD5NotFound') > before);
      setMd5Key(listening, there, '');
      assert.equal((await session).text, 'hello'); // its SYN is sent again
    } finally {
      close();
    }
  });

  test(`TCP ${family}: a neighbour with a low TTL is dropped`, async () => {
    await isDropped('TCPMinTTLDrop', { minTtl: 255 }, { ttl: 64 }, family);
  });
}

test('TCP: a port that is taken, an address that is not ours, a namespace that is gone', async () => {
  const at = { address: A.v4, port: PORT, netnsPath: server };
  const hasErrno = (errno: number) => (cause: OpError) =>
    cause.name === 'OpError' && cause.errno === errno;
  const accepting = createServer().listen({ fd: listenFd(at) });
  await once(accepting, 'listening');
  assert.throws(() => listenFd(at), hasErrno(98));
  accepting.close();
  assert.throws(() => listenFd({ ...at, address: B.v4 }), hasErrno(99));
  assert.throws(() => connectFd({ source: B.v4, netnsPath: server }), hasErrno(99));
  assert.throws(() => connectFd({ source: B.v4, netnsPath: '/run/netns/ckt-none' }), hasErrno(2));
});
