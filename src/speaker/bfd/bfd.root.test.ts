// BFD between two namespaces with a router between them: the real sockets and threads.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { eventually, run } from '../../../test/lab/command.ts';
import { netnsPath, type TestNetns, withNetns } from '../../../test/lab/netns.ts';
import { systemClock } from '../../base/clock.io.ts';
import { openLog } from '../../base/log.io.ts';
import { BFD_PORT } from '../../bfd/demultiplex.ts';
import { encodePacket } from '../../bfd/packet.ts';
import { udpFd } from '../../kernel/udp.io.ts';
import { familyOf, type Ip, ip } from '../../net/ip.ts';
import { type BfdPeer, BfdPeers } from './bfd.io.ts';

/** A Detection Time for which hardly a busy machine leaves a thread without a processor. */
const TIMERS = { transmitMs: 100, receiveMs: 100, multiplier: 3 };
const DETECTION_MS = TIMERS.multiplier * TIMERS.receiveMs;
/** a and b share a link; c lies behind b. */
const A = { v4: ip('10.98.0.1'), v6: ip('fd00:98::1') };
const B = { v4: ip('10.98.0.2'), v6: ip('fd00:98::2') };
const C = { v4: ip('10.98.1.3'), v6: ip('fd00:98:1::3') };
const log = openLog('bgp', process.env['LOG_LEVEL'] ?? 'silent');

let namespaces: readonly TestNetns[] = [];
let [a, b, c] = ['', '', ''];

function link(left: string, right: string, ends: readonly [string, string][]): void {
  const peer = ['peer', 'name', `to${left.slice(-1)}`, 'netns', right];
  run(['ip', '-n', left, 'link', 'add', `to${right.slice(-1)}`, 'type', 'veth', ...peer]);
  for (const [here, there] of [
    [left, right],
    [right, left],
  ] as const) {
    const device = `to${there.slice(-1)}`;
    for (const [l, r] of ends) {
      const address = here === left ? l : r;
      const nodad = address.includes(':') ? ['nodad'] : [];
      run(['ip', '-n', here, 'addr', 'add', address, 'dev', device, ...nodad]);
    }
    run(['ip', '-n', here, 'link', 'set', device, 'up']);
  }
}

before(() => {
  namespaces = withNetns(`ckt-bfd-${process.pid}`, ['a', 'b', 'c']);
  [a, b, c] = namespaces.map(({ name }) => name) as [string, string, string];
  link(a, b, [
    [`${A.v4}/24`, `${B.v4}/24`],
    [`${A.v6}/64`, `${B.v6}/64`],
  ]);
  link(b, c, [
    ['10.98.1.2/24', `${C.v4}/24`],
    ['fd00:98:1::2/64', `${C.v6}/64`],
  ]);
  for (const name of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
    run(['ip', 'netns', 'exec', b, 'sysctl', '-qw', `${name}=1`]);
  run(['ip', '-n', a, 'route', 'add', '10.98.1.0/24', 'via', B.v4]);
  run(['ip', '-n', a, '-6', 'route', 'add', 'fd00:98:1::/64', 'via', B.v6]);
  run(['ip', '-n', c, 'route', 'add', '10.98.0.0/24', 'via', '10.98.1.2']);
  run(['ip', '-n', c, '-6', 'route', 'add', 'fd00:98::/64', 'via', 'fd00:98:1::2']);
});
after(() => {
  for (const { remove } of namespaces) remove();
});

/** Somebody who watches, and whom it lost, in order. */
class Watcher {
  readonly lost: string[] = [];
  readonly bfd: BfdPeers;

  constructor(netns: string) {
    this.bfd = new BfdPeers({ clock: systemClock, log, netnsPath: netnsPath(netns) });
    this.bfd.onDown((key) => this.lost.push(key));
  }

  watch(localAddress: Ip, remoteAddress: Ip, more: Partial<BfdPeer> = {}): this {
    const key = remoteAddress;
    this.bfd.set([{ key, localAddress, remoteAddress, multihop: false, ...TIMERS, ...more }]);
    return this;
  }

  async is(key: string, state: string): Promise<void> {
    await eventually(`${key} is ${state}`, () => this.bfd.stateOf(key)?.state === state);
  }
}

const watchers: Watcher[] = [];
const watcher = (netns: string): Watcher => {
  const made = new Watcher(netns);
  watchers.push(made);
  return made;
};
afterEach(async () => {
  for (const { bfd } of watchers.splice(0)) await bfd.close();
});

for (const family of ['v4', 'v6'] as const) {
  const [here, there, far] = [A[family], B[family], C[family]];

  describe(`one hop, ${family}`, () => {
    let [near, other]: [Watcher, Watcher] = [] as never;
    beforeEach(async () => {
      near = watcher(a).watch(here, there);
      other = watcher(b).watch(there, here);
      await near.is(there, 'up');
      await other.is(here, 'up');
    });
    afterEach(() => run(['ip', '-n', b, 'link', 'set', 'toa', 'up']));

    test('a silent link: both sides lose the other; Up again afterwards', async () => {
      silence(b, true);
      try {
        await near.is(there, 'down');
        await other.is(here, 'down');
        assert.deepEqual([near.lost, other.lost], [[there], [here]]);
        const { cause, failures } = other.bfd.stateOf(here)!;
        assert.deepEqual([cause, failures], ['Control Detection Time Expired', 1]);
        assert.equal(near.bfd.stateOf(there)?.cause, 'Neighbor Signaled Session Down');
      } finally {
        silence(b, false);
      }
      await near.is(there, 'up');
      await other.is(here, 'up');
    });

    test('a side that stops, or no longer wants it, is no failure', async () => {
      await other.bfd.close();
      await near.is(there, 'down');
      assert.equal(near.bfd.stateOf(there)?.cause, 'Neighbor Signaled Session Down');
      other = watcher(b).watch(there, here);
      await near.is(there, 'up');
      await other.is(here, 'up');
      other.bfd.set([]);
      await near.is(there, 'down');
      assert.deepEqual([near.lost, other.lost], [[], []]);
    });

    test('a blocked main thread is late for nobody', async () => {
      const end = performance.now() + 4 * DETECTION_MS;
      while (performance.now() < end);
      await new Promise((resolve) => setImmediate(resolve));
      // Both sides would have been lost by now; what their threads said is here with this.
      near.watch(here, there, { transmitMs: 110 });
      await near.is(there, 'up');
      assert.deepEqual([near.lost, other.lost], [[], []]);
      assert.equal(near.bfd.stateOf(there)?.failures, 0);
    });

    test('what crossed a router is dropped; the same from next door is not (RFC 5881 section 5)', async () => {
      const strangerSays = async (ttl: number): Promise<void> => {
        const address = there;
        const fd = udpFd({ address, port: 50_000 + ttl, ttl, minTtl: 0, netnsPath: netnsPath(b) });
        const socket = createSocket(familyOf(address) === 4 ? 'udp4' : 'udp6');
        socket.bind({ fd });
        await new Promise<void>((resolve) => {
          socket.send(DOWN, BFD_PORT.singleHop, here, () => resolve());
        });
        socket.close();
      };
      await strangerSays(254);
      near.watch(here, there, { transmitMs: 110 });
      await settled();
      assert.deepEqual([near.bfd.stateOf(there)?.state, near.lost], ['up', []]);
      await strangerSays(255);
      await eventually('the lie is believed', () => near.lost.length > 0);
    });
  });

  test(`several hops, ${family}: Up; a limit of hops that is too low hears nothing`, async () => {
    const near = watcher(a).watch(here, far, { multihop: true });
    const other = watcher(c).watch(far, here, { multihop: true });
    await near.is(far, 'up');
    await other.is(here, 'up');
    near.watch(here, far, { multihop: true, hopsMax: 1 });
    await near.is(far, 'down');
    assert.deepEqual(near.lost, [far]);
    near.watch(here, far, { multihop: true, hopsMax: 2 });
    await near.is(far, 'up');
  });
}

test('an address that is not there yet is waited for', async () => {
  const late = ip('10.98.0.9');
  const near = watcher(a).watch(late, B.v4);
  await eventually('the trouble is told', () =>
    /address not available/.test(near.bfd.stateOf(B.v4)?.cause ?? ''),
  );
  run(['ip', '-n', a, 'addr', 'add', `${late}/24`, 'dev', 'tob']);
  watcher(b).watch(B.v4, late);
  await near.is(B.v4, 'up');
});

/** Nobody takes a datagram in this namespace, but the links stay. */
function silence(netns: string, yes: boolean): void {
  const rule = ['INPUT', '-p', 'udp', '-j', 'DROP'];
  for (const tables of ['iptables', 'ip6tables'])
    run(['ip', 'netns', 'exec', netns, tables, '-w', yes ? '-A' : '-D', ...rule]);
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 300));

const DOWN = encodePacket({
  diagnostic: 0,
  state: 'down',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMultiplier: 3,
  myDiscriminator: 4711,
  yourDiscriminator: 0,
  desiredMinTransmitUs: 1_000_000,
  requiredMinReceiveUs: 50_000,
  requiredMinEchoReceiveUs: 0,
});
