// Whatever the datastore goes through: what was taken step by step is what a look at the whole says, node by
// node as the speaker's own rule has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change, KeyValue } from '../../datastore/store.ts';
import { type AffinityState, printIpam } from '../../model/ipam.ts';
import { affinityKey, namespacedKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION } from '../../model/resource.ts';
import { type Cidr, cidr, hostCidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { ownRoutes } from '../../routes/own.ts';
import { type OverlayPart, OverlayView } from './view.ts';

const NODES = ['a', 'b', 'c'];
const BLOCKS = ['192.168.1.0/26', '192.168.1.64/26', '192.168.2.7/32', 'fd00:10::/122'].map(cidr);
const ADDRESSES = ['192.168.1.5', '192.168.1.70', '192.168.2.7', '192.168.9.9', 'fd00:10::5'].map(
  ip,
);
const POOLS = ['192.168.0.0/16', 'fd00:10::/64'].map((text) => ({ cidr: cidr(text) }));

const affinity = (node: string, block: Cidr, state: AffinityState = 'confirmed') => ({
  key: affinityKey(node, block),
  value: printIpam({ state, deleted: false }),
});
const endpoint = (node: string, pod: string, addresses: readonly string[]) => ({
  key: namespacedKey('workloadendpoints', 'default', `${node}-k8s-${pod}-eth0`),
  value: JSON.stringify({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: 'w', namespace: 'default' },
    spec: { node, ipNetworks: addresses.map((text) => hostCidr(ip(text))) },
  }),
});
const node = (name: string, spec: object) => ({
  key: resourceKey('nodes', name),
  value: JSON.stringify({ kind: 'Node', apiVersion: API_VERSION, metadata: { name }, spec }),
});
const nodeAddress = (name: string, last = 1) => ({
  ipv4Address: `10.0.${name.charCodeAt(0)}.${last}/24`,
  ipv6Address: `fd00::${name}:${last}/64`,
});

const someNode = fc.constantFrom(...NODES);
const someValue = fc.oneof(
  fc
    .tuple(
      someNode,
      fc.constantFrom(...BLOCKS),
      fc.constantFrom<AffinityState>('confirmed', 'pending'),
    )
    .map(([name, block, state]) => affinity(name, block, state)),
  fc
    .tuple(someNode, fc.constantFrom('p', 'q'), fc.uniqueArray(fc.constantFrom(...ADDRESSES)))
    .map(([name, pod, addresses]) => endpoint(name, pod, addresses)),
  fc
    .tuple(someNode, fc.integer({ min: 1, max: 2 }), fc.option(fc.constantFrom(...ADDRESSES)))
    .map(([name, last, tunnel]) =>
      node(name, {
        bgp: nodeAddress(name, last),
        ...(tunnel && !tunnel.includes(':') ? { ipv4VXLANTunnelAddr: tunnel } : {}),
      }),
    ),
);
const someChange = fc.record({ value: someValue, gone: fc.boolean() });

const partOf = (key: string): OverlayPart =>
  key.includes('/nodes/') ? 'nodes' : key.includes('/host/') ? 'affinities' : 'workloadendpoints';

test('step by step or all at once: the same prefixes by the same nodes', () => {
  fc.assert(
    fc.property(fc.array(someChange, { maxLength: 40 }), fc.nat(5), (steps, every) => {
      const view = new OverlayView('a');
      const taken = new Map<Cidr, string>();
      // In the order of the last change: of two holders of an address the later has it.
      const stored = new Map<string, KeyValue>();
      const take = (): void => {
        for (const { prefix, nextHops } of view.take()) {
          if (nextHops[0]) taken.set(prefix, nextHops[0]);
          else taken.delete(prefix);
        }
      };
      let revision = 0n;
      for (const [i, { value, gone }] of steps.entries()) {
        revision += 1n;
        const { key } = value;
        stored.delete(key);
        const item = { ...value, revision };
        if (!gone) stored.set(key, item);
        const change: Change = gone ? { kind: 'delete', key, revision } : { kind: 'put', item };
        view.changes([change]);
        if (every > 0 && i % every === 0) take();
        // A listing again changes nothing.
        if (i % 7 === 3) {
          const part = partOf(key);
          view.snapshot(
            part,
            [...stored.values()].filter((one) => partOf(one.key) === part),
          );
        }
      }
      take();
      const whole = new OverlayView('a');
      whole.changes([...stored.values()].map((item) => ({ kind: 'put', item })));
      const expected = new Map(
        whole
          .take()
          .flatMap(({ prefix, nextHops }) => (nextHops[0] ? [[prefix, nextHops[0]]] : [])),
      );
      assert.deepEqual(new Map([...taken].toSorted()), new Map([...expected].toSorted()));
      const [own, all] = [view.own(POOLS), whole.own(POOLS)];
      assert.deepEqual(own.held, all.held);
      for (const list of ['announced', 'blackholes'] as const)
        assert.deepEqual(own[list].toSorted(), all[list].toSorted());
      assert.deepEqual(view.vtepsByNode, whole.vtepsByNode);
    }),
    { numRuns: 500 },
  );
});

test('another node answers for what it would tell its BGP peers', () => {
  const view = new OverlayView('a');
  const items = [
    node('b', { bgp: nodeAddress('b'), ipv4VXLANTunnelAddr: '192.168.1.64' }),
    node('c', { bgp: nodeAddress('c') }),
    affinity('b', cidr('192.168.1.64/26')),
    affinity('c', cidr('192.168.1.0/26')),
    affinity('b', cidr('192.168.3.0/26'), 'pending'),
    endpoint('b', 'p', ['192.168.1.70', '192.168.1.5']), // one of them borrowed from c
    endpoint('c', 'p', ['192.168.1.6']),
  ].map((item, i) => ({ ...item, revision: BigInt(i) }));
  view.changes(items.map((item) => ({ kind: 'put', item })));
  const told = ownRoutes({
    blocks: [cidr('192.168.1.64/26')],
    addresses: ['192.168.1.70', '192.168.1.5', '192.168.1.64'].map((text) => hostCidr(ip(text))),
    pools: POOLS,
  });
  const [ofB, ofC] = ['10.0.98.1', '10.0.99.1'].map(ip);
  const taken = new Map(view.take().map(({ prefix, nextHops }) => [prefix, nextHops[0]]));
  assert.deepEqual(
    taken,
    new Map([
      ...told.announced.map((prefix) => [prefix, ofB] as const),
      [cidr('192.168.1.0/26'), ofC],
    ]),
  );
  assert.deepEqual(view.take(), []);
  view.changes([{ kind: 'delete', key: items[5]!.key, revision: 9n }]);
  assert.deepEqual(view.take(), [{ prefix: '192.168.1.5/32', nextHops: [] }]);
});
