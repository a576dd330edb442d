// Nodes on memory twins, their speakers without sockets and clocks: what the datastore says, through
// announcements and learned paths, to the kernels' tables. Addresses that live outside their block.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HEADER_OCTETS } from '../bgp/codec/message.ts';
import { PEER_DEFAULTS } from '../bgp/peers.ts';
import { Table } from '../bgp/table/table.ts';
import { memoryStore } from '../datastore/memory.ts';
import { ROUTE_PROTOCOL } from '../kernel/kernel.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { affinityKey, namespacedKey, resourceKey } from '../model/keys.ts';
import { workloadEndpointName } from '../model/workload-endpoint.ts';
import type { Asn } from '../net/asn.ts';
import { cidr, contains, hostCidr, prefixLengthOf } from '../net/cidr.ts';
import { type Ip, ip } from '../net/ip.ts';
import { RouteSync } from '../routes/sync.ts';
import { demandOf } from './resources/demand.ts';
import { ownRoutesOf } from './resources/own.ts';
import { newView, PARTS, prefixOf, takeListing } from './resources/view.ts';

const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];
const ADDRESSES = { a: ip('10.0.0.1'), b: ip('10.0.0.2'), c: ip('10.0.0.3') };
const ASN = 64512 as Asn;

const resource = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name }, spec });

/** A node: its view, what it learned, what it told, its kernel. */
function node(name: Name) {
  const kernel = memoryKernel();
  const address = { ip: ADDRESSES[name], prefixLength: 24, scope: 'global' } as const;
  const { index } = kernel.addLink({ name: 'eth0', mtu: 1500, up: true }, [address]);
  const connected = {
    destination: cidr('10.0.0.0/24'),
    kind: 'unicast',
    linkIndex: index,
  } as const;
  const more = { scope: 'link', protocol: 2, metric: 0, onlink: false } as const;
  kernel.apply([{ kind: 'addRoute', route: { ...connected, ...more } }]);
  const sent: { readonly to: Name; readonly bytes: Uint8Array }[] = [];
  const send = (keys: readonly string[], messages: readonly Uint8Array[]): void => {
    for (const to of keys as Name[]) for (const bytes of messages) sent.push({ to, bytes });
  };
  const table = new Table({ send, hasRoom: () => true });
  table.setIdentity({ asn: ASN, routerId: ADDRESSES[name], addresses: [ADDRESSES[name]] });
  return { name, kernel, view: newView(name), table, sent };
}
type Node = ReturnType<typeof node>;

const settle = ({ table }: Node): void => {
  while (table.work(1000, () => 0) === 'busy');
};
const policyOf = (peer: Name) => ({
  ...PEER_DEFAULTS,
  address: ADDRESSES[peer],
  asn: ASN,
  localAsn: ASN,
});
const agreedOf = (peer: Name) => ({
  families: [4] as const,
  fourOctetAs: true,
  extendedMessage: false,
  extendedNextHop: false,
  addPathReceive: [],
  addPathSend: [],
  peerRouterId: ADDRESSES[peer],
});

/** The bodies of the messages that stand one behind the other. */
function* bodiesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + ((bytes[at + 16]! << 8) | bytes[at + 17]!);
    yield bytes.subarray(at + HEADER_OCTETS, end);
    at = end;
  }
}

async function cluster() {
  const store = memoryStore();
  const nodes = NAMES.map(node);
  for (const node of nodes)
    for (const peer of NAMES.filter((n) => n !== node.name))
      node.table.peerUp(peer, policyOf(peer), ADDRESSES[node.name], agreedOf(peer));
  /** A node looks at the datastore and tells the others. */
  const look = async (of: Node): Promise<void> => {
    for (const part of PARTS) {
      const { items } = await store.list(prefixOf(part, of.name));
      assert.deepEqual(takeListing(of.view, part, items), []);
    }
    const own = ownRoutesOf(of.view);
    of.table.setPools(demandOf(of.view).pools);
    of.table.setOwn(own.announced.map((prefix) => ({ prefix, source: 'block' })));
    settle(of);
    for (const { to, bytes } of of.sent.splice(0)) {
      const { table } = nodes.find((n) => n.name === to)!;
      for (const body of bodiesOf(bytes))
        assert.deepEqual(table.receive(of.name, body).reset, undefined);
    }
    for (const each of nodes) {
      settle(each);
      route(each);
    }
  };
  const route = ({ view, table, kernel }: Node): void => {
    const [own, { pools }] = [ownRoutesOf(view), demandOf(view)];
    const sync = new RouteSync();
    sync.begin(kernel.routes());
    sync.sweep();
    sync.learned([...table.learned()]);
    sync.setFacts({
      pools,
      blackholes: new Set(own.blackholes),
      held: own.held,
      statics: new Map(),
      subnets: [cidr('10.0.0.0/24')],
      tunnelLink: undefined,
      ignoredLinks: new Set(),
    });
    kernel.apply(sync.take(1000));
    assert.deepEqual(sync.problems, []);
  };
  return { store, nodes, look };
}

const podKey = (node: Name, pod: string): string => {
  const name = workloadEndpointName({ node, orchestrator: 'k8s', workload: pod, endpoint: 'eth0' });
  return namespacedKey('workloadendpoints', 'default', name);
};
const podObject = (node: Name, pod: string, address: Ip): string => {
  const spec = {
    orchestrator: 'k8s',
    node,
    pod,
    endpoint: 'eth0',
    ipNetworks: [hostCidr(address)],
  };
  return resource('WorkloadEndpoint', pod, spec);
};
const BLOCK_OF = {
  a: cidr('192.168.1.0/26'),
  b: cidr('192.168.2.0/26'),
  c: cidr('192.168.3.0/26'),
};

/** Three nodes with a block each; words for what happens, and the tables as text. */
async function three() {
  const { store, nodes, look } = await cluster();
  const settle = async (): Promise<void> => {
    for (const each of nodes) await look(each);
  };
  const own = (node: Name, confirmed: boolean): void => {
    const key = affinityKey(node, BLOCK_OF[node]);
    if (confirmed) store.put(key, '{"state":"confirmed"}');
    else store.delete(key);
  };
  const pool = (more: object = {}): void =>
    void store.put(
      resourceKey('ippools', 'pool'),
      resource('IPPool', 'pool', { cidr: '192.168.0.0/16', ...more }),
    );
  pool();
  for (const { name } of nodes) own(name, true);
  await settle();
  return {
    nodes,
    own,
    pool,
    settle,
    look: (name: Name) => look(nodes.find((n) => n.name === name)!),
    put: (node: Name, pod: string, address: string) =>
      void store.put(podKey(node, pod), podObject(node, pod, ip(address))),
    remove: (node: Name, pod: string) => void store.delete(podKey(node, pod)),
    /** Where each node sends packets for the address: a next hop, `blackhole`, or nowhere. */
    ways: (address: string): string => nodes.map((n) => wayTo(n, ip(address))).join(' '),
  };
}

function wayTo({ kernel }: Node, address: Ip): string {
  const [best] = kernel
    .routes({ protocol: ROUTE_PROTOCOL.bird })
    .filter(({ destination }) => contains(destination, address))
    .toSorted((x, y) => prefixLengthOf(y.destination) - prefixLengthOf(x.destination));
  if (!best) return 'nowhere';
  const hop = NAMES.find((name) => ADDRESSES[name] === best.gateway);
  const single = prefixLengthOf(best.destination) === 32 ? '!' : '';
  return best.kind === 'blackhole' ? 'blackhole' : `${hop}${single}`;
}

// In the tables of ways `!` marks a route to the one address.
test('a pod in an own block is no news; a borrowed address is, until it is deleted', async () => {
  const n = await three();
  n.put('a', 'plain', '192.168.1.7');
  n.put('a', 'borrower', '192.168.2.9');
  await n.settle();
  assert.equal(n.ways('192.168.1.7'), 'blackhole a a'); // the pod's own route on a is longer
  assert.equal(n.ways('192.168.2.9'), 'b a! a!');
  assert.equal(n.ways('192.168.2.10'), 'b blackhole b');
  n.remove('a', 'borrower');
  await n.settle();
  assert.equal(n.ways('192.168.2.9'), 'b blackhole b');
});

test('an address of nobody’s block, and of a block that was reclaimed under its pod', async () => {
  const n = await three();
  n.put('a', 'stray', '192.168.9.1');
  n.put('a', 'plain', '192.168.1.7');
  n.own('a', false);
  await n.settle();
  assert.equal(n.ways('192.168.9.1'), 'nowhere a! a!');
  assert.equal(n.ways('192.168.1.7'), 'nowhere a! a!');
  assert.equal(n.ways('192.168.1.8'), 'nowhere nowhere nowhere');
  n.own('a', true);
  await n.settle();
  assert.equal(n.ways('192.168.1.7'), 'blackhole a a');
});

test('a pool with disableBGPExport lets nothing out; a disabled one keeps what it has', async () => {
  const n = await three();
  n.put('a', 'borrower', '192.168.2.9');
  n.pool({ disableBGPExport: true });
  await n.settle();
  assert.equal(n.ways('192.168.2.9'), 'nowhere blackhole nowhere');
  n.pool({ disabled: true });
  await n.settle();
  assert.equal(n.ways('192.168.2.9'), 'b a! a!');
});

test('a pod that moves with its address: each node tells as long as its record stands', async () => {
  const n = await three();
  n.put('a', 'mover', '192.168.1.7');
  await n.settle();
  assert.equal(n.ways('192.168.1.7'), 'blackhole a a');
  n.remove('a', 'mover');
  n.put('b', 'mover', '192.168.1.7');
  await n.look('b');
  assert.equal(n.ways('192.168.1.7'), 'blackhole a b!', 'a has not heard: its pod is not doubted');
  await n.look('a');
  assert.equal(n.ways('192.168.1.7'), 'b! a b!');
  n.remove('b', 'mover');
  n.put('c', 'mover', '192.168.1.7');
  await n.look('b');
  assert.equal(n.ways('192.168.1.7'), 'blackhole a a', 'between two homes: the block');
  await n.look('c');
  assert.equal(n.ways('192.168.1.7'), 'c! c! a');
  n.remove('c', 'mover');
  n.put('a', 'mover', '192.168.1.7');
  await n.settle();
  assert.equal(n.ways('192.168.1.7'), 'blackhole a a');
});

type Step =
  | { readonly kind: 'put' | 'remove'; readonly node: Name; readonly pod: number }
  | { readonly kind: 'own'; readonly node: Name; readonly confirmed: boolean }
  | { readonly kind: 'look'; readonly node: Name };
const name = fc.constantFrom(...NAMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('put' as const, 'remove' as const),
    node: name,
    pod: fc.integer({ min: 0, max: 5 }),
  }),
  fc.record({ kind: fc.constant('own' as const), node: name, confirmed: fc.boolean() }),
  fc.record({ kind: fc.constant('look' as const), node: name }),
);
/** Two addresses in each node's block. */
const addressOf = (pod: number): string => `192.168.${1 + (pod % 3)}.${7 + pod}`;

test('whatever happened in whatever order: at rest every other node’s way leads to the pod', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const n = await three();
      const homes = new Map<number, Name>();
      for (const s of steps) {
        if (s.kind === 'own') n.own(s.node, s.confirmed);
        else if (s.kind === 'look') await n.look(s.node);
        else {
          const home = homes.get(s.pod);
          if (home) n.remove(home, `p${s.pod}`);
          homes.delete(s.pod);
          if (s.kind === 'remove') continue;
          homes.set(s.pod, s.node);
          n.put(s.node, `p${s.pod}`, addressOf(s.pod));
        }
      }
      await n.settle();
      for (const [pod, home] of homes)
        for (const each of n.nodes) {
          const way = wayTo(each, ip(addressOf(pod)));
          if (each.name !== home) assert.equal(way.replace('!', ''), home);
          // At home the pod's own route is as long as any: none of ours may be there.
          else assert(!way.endsWith('!'), `${home} sends its own ${pod} to ${way}`);
        }
    }),
    { numRuns: 60 },
  );
});
