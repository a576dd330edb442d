// The allocator's behaviour on any datastore: run on the memory twin and on a real etcd.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.io.ts';
import type { Store } from '../datastore/store.ts';
import { parseBlock } from '../model/ipam.ts';
import { handleKey, IPAM, IPAM_CONFIG_KEY, ROOT, resourceKey } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { contains, ordinalOf } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import {
  type Allocator,
  type AllocatorOptions,
  type AssignRequest,
  openAllocator,
} from './allocator.io.ts';
import { auditIpam } from './audit.ts';
import { assignTunnelAddress } from './tunnel.ts';

export const noMore = { compares: [], writes: [] };

export const request = (handleId: string, more: Partial<AssignRequest> = {}): AssignRequest => ({
  handleId,
  attributes: { node: 'n', timestamp: 't' },
  count4: 1,
  count6: 0,
  alongside: () => noMore,
  ...more,
});

export async function addPool(
  store: Store,
  cidr: string,
  more: object = {},
  name = 'default-ipv4-ippool',
): Promise<void> {
  const value = printResource({
    kind: 'IPPool',
    apiVersion: API_VERSION,
    metadata: { name },
    spec: { cidr, ...more },
  });
  await store.transaction([], [{ kind: 'put', key: resourceKey('ippools', name), value }]);
}

export async function addNode(
  store: Store,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const value = printResource({
    kind: 'Node',
    apiVersion: API_VERSION,
    metadata: { name, labels },
    spec: {},
  });
  await store.transaction([], [{ kind: 'put', key: resourceKey('nodes', name), value }]);
}

export async function open(
  store: Store,
  node: string,
  more: Partial<AllocatorOptions> = {},
): Promise<Allocator> {
  const allocator = openAllocator({ store, node, clock: systemClock, ...more });
  opened.add(allocator);
  await allocator.ready();
  return allocator;
}

/** What a failed case left open would keep the process alive. */
const opened = new Set<Allocator>();
function closeAll(): void {
  for (const allocator of opened) allocator.close();
  opened.clear();
}

export async function audited(store: Store): Promise<void> {
  assert.deepEqual(auditIpam((await store.list(ROOT)).items), []);
}

export async function assigned(
  allocator: Allocator,
  handle: string,
  more: Partial<AssignRequest> = {},
): Promise<string> {
  const outcome = await allocator.assign(request(handle, more));
  assert.equal(
    outcome.kind,
    'assigned',
    JSON.stringify(outcome, (_k, v) =>
      v instanceof Error ? v.message : typeof v === 'bigint' ? String(v) : v,
    ),
  );
  return outcome.kind === 'assigned' ? outcome.ips.join() : '';
}

/** A test on an empty store; afterwards every invariant must hold. */
export type Scenario = (what: string, work: (store: Store) => Promise<void>) => void;

/** `fresh` gives an empty store. */
export const scenarioOn =
  (name: string, fresh: () => Promise<Store>): Scenario =>
  (what, work) =>
    void test(`${name}: ${what}`, async () => {
      const store = await fresh();
      await work(store).finally(closeAll);
      await audited(store);
    });

export function allocatorCases(scenario: Scenario): void {
  scenario('many addresses in one request: one transaction, all or nothing', async (store) => {
    await addPool(store, '10.0.0.0/24', { blockSize: 26 });
    const a = await open(store, 'a');
    await assigned(a, 'n.warm');
    const ips = (await assigned(a, 'n.many', { count4: 60 })).split(',');
    assert.equal(new Set(ips).size, 60);
    const { value = '' } = (await store.get(handleKey('n.many'))) ?? {};
    const { block } = JSON.parse(value) as { block: Record<string, number> };
    assert.deepEqual(Object.values(block), [60]);
    assert.deepEqual((await assigned(a, 'n.many', { count4: 60 })).split(','), ips, 'repeated');
    const more = (await assigned(a, 'n.many', { count4: 64 })).split(',');
    assert.deepEqual([more.length, new Set(more).size, more.slice(0, 60)], [64, 64, ips]);
    const ip = '10.0.0.250' as Ip;
    const named = (await assigned(a, 'n.named', { count4: 3, requested: [ip] })).split(',');
    assert.deepEqual([named.length, named[0]], [3, ip]);
    // 188 are left; the last of them are not given to a request that they cannot satisfy.
    await assigned(a, 'n.rest', { count4: 100 });
    const tooMany = await a.assign(request('n.too-many', { count4: 89 }));
    assert.equal(tooMany.kind, 'exhausted');
    assert.deepEqual(a.addressesOf('n.too-many'), []);
    assert.equal((await assigned(a, 'n.last', { count4: 88 })).split(',').length, 88);
    const released = await a.release({ handleId: 'n.many' });
    assert.equal(released.kind === 'released' ? released.ips.length : 0, 64);
  });

  scenario('many requests for many addresses keep to the size of a transaction', async (store) => {
    await addPool(store, '10.0.0.0/22', { blockSize: 32 });
    await addNode(store, 'a', {});
    const config = { auto_allocate_blocks: true, strict_affinity: true, maxBlocksPerHost: 1000 };
    const put = { kind: 'put', key: IPAM_CONFIG_KEY, value: JSON.stringify(config) } as const;
    await store.transaction([], [put]);
    const a = await open(store, 'a');
    const handles = Array.from({ length: 6 }, (_, n) => `n.${n}`);
    const all = await Promise.all(handles.map((h) => assigned(a, h, { count4: 50 })));
    assert.equal(new Set(all.join().split(',')).size, 300);
    const freed = await Promise.all(handles.map((handleId) => a.release({ handleId })));
    assert.deepEqual(
      freed.map((one) => (one.kind === 'released' ? one.ips.length : one)),
      handles.map(() => 50),
    );
  });

  scenario('addresses are given once, freed by handle, and come back last', async (store) => {
    await addPool(store, '10.0.0.0/24', { blockSize: 30 });
    const a = await open(store, 'a');
    const ips = [await assigned(a, 'n.1'), await assigned(a, 'n.2')];
    assert.equal(new Set(ips).size, 2);
    assert.equal(await assigned(a, 'n.1'), ips[0], 'a repeated ADD keeps its address');
    assert.deepEqual(await a.release({ handleId: 'n.1' }), { kind: 'released', ips: [ips[0]] });
    assert.deepEqual(await a.release({ handleId: 'n.1' }), { kind: 'released', ips: [] });
    assert.notEqual(await assigned(a, 'n.3'), ips[0]);
    a.close();
  });

  scenario('many at once share transactions; nodes take different blocks', async (store) => {
    await addPool(store, '10.1.0.0/16');
    const nodes = [await open(store, 'a'), await open(store, 'b')];
    const all = await Promise.all(
      nodes.flatMap((node, n) =>
        Array.from({ length: 100 }, (_, i) => assigned(node, `n.${n}x${i}`)),
      ),
    );
    assert.equal(new Set(all).size, 200);
    for (const node of nodes) node.close();
  });

  scenario(
    'two nodes race to the last address of a tiny pool, borrowing included',
    async (store) => {
      await addPool(store, '10.2.0.0/28', { blockSize: 30 });
      const nodes = await Promise.all(['a', 'b', 'c'].map((node) => open(store, node)));
      const outcomes = await Promise.all(
        nodes.flatMap((node, n) =>
          Array.from({ length: 8 }, (_, i) => node.assign(request(`n.${n}x${i}`))),
        ),
      );
      const ips = outcomes.flatMap((o) => (o.kind === 'assigned' ? o.ips : []));
      assert.equal(ips.length, 16);
      assert.equal(new Set(ips).size, 16);
      const refused = outcomes.find((o) => o.kind === 'exhausted');
      assert.match(
        refused?.kind === 'exhausted' ? refused.message : '',
        /No IPs available in pools: \[10\.2\.0\.0\/28\].*claimed and full/,
      );
      for (const node of nodes) node.close();
    },
  );

  scenario('why no pool fits is said by name', async (store) => {
    await addPool(store, '10.3.0.0/24', { disabled: true }, 'off');
    await addPool(store, '10.4.0.0/24', { nodeSelector: 'rack == "1"' }, 'elsewhere');
    await addNode(store, 'a', { rack: '2' });
    const a = await open(store, 'a');
    const outcome = await a.assign(request('n.1'));
    assert.deepEqual(outcome, {
      kind: 'exhausted',
      message:
        'no configured Calico pools for node a (IPv4, Workload); elsewhere: nodeSelector rack == "1" does not select this node; off: disabled',
    });
    a.close();
  });

  scenario(
    "writes alongside are in the same transaction; a refused compare is the caller's",
    async (store) => {
      await addPool(store, '10.5.0.0/24');
      const a = await open(store, 'a');
      const write = (revision: bigint) => ({
        compares: [{ key: '/calico/x', revision }],
        writes: [{ kind: 'put', key: '/calico/x', value: 'v' } as const],
      });
      assert.deepEqual(await a.assign(request('n.1', { alongside: () => write(99n) })), {
        kind: 'conflict',
        index: 0,
      });
      assert.equal(await store.get('/calico/x'), undefined);
      await assigned(a, 'n.1', { alongside: () => write(0n) });
      assert.equal((await store.get('/calico/x'))?.value, 'v');
      a.close();
    },
  );

  scenario('a requested address: given, and refused when taken or outside', async (store) => {
    await addPool(store, '10.6.0.0/24');
    const a = await open(store, 'a');
    const ask = (ip: string, handle: string) =>
      a.assign(request(handle, { requested: [ip as never] }));
    const given = await ask('10.6.0.77', 'n.1');
    assert.deepEqual(given.kind === 'assigned' && given.ips, ['10.6.0.77']);
    assert.equal((await ask('10.6.0.77', 'n.2')).kind, 'refused');
    assert.equal((await ask('10.9.0.1', 'n.3')).kind, 'refused');
    a.close();
  });

  scenario('IPv4 and IPv6 together: both or nothing', async (store) => {
    await addPool(store, '10.7.0.0/24');
    const a = await open(store, 'a');
    assert.equal((await a.assign(request('n.1', { count6: 1 }))).kind, 'exhausted');
    assert.deepEqual(a.handles(), new Map());
    await addPool(store, 'fd00:7::/64', {}, 'six');
    const b = await open(store, 'b');
    assert.match(await assigned(b, 'n.2', { count6: 1 }), /^10\.7\.0\.\d+,fd00:7::/);
    a.close();
    b.close();
  });

  scenario('a kept address survives DEL and follows its owner to another node', async (store) => {
    await addPool(store, '10.8.0.0/24', { blockSize: 30 });
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    const kept = (node: string, timestamp: string) => ({
      keep: true,
      attributes: { node, pod: 'db-0', namespace: 'x', timestamp },
    });
    const ip = await assigned(a, 'net.x-db-0', kept('a', 't1'));
    assert.deepEqual(await a.release({ handleId: 'net.container1' }), {
      kind: 'released',
      ips: [],
    });
    assert.equal(await assigned(b, 'net.x-db-0', kept('b', 't2')), ip);
    const stored = (await store.list(IPAM)).items.map(({ value }) => value).join();
    assert.match(stored, /"node":"b"/);
    assert.doesNotMatch(stored, /"node":"a"/);
    assert.deepEqual(b.handles(), new Map(), 'it is nothing that a node could clean up');
    assert.equal(await assigned(b, 'net.x-db-0', kept('b', 't3')), ip, 'a repeated ADD');
    assert.notEqual(await assigned(a, 'n.other'), ip);
    assert.deepEqual(await a.release({ handleId: 'net.x-db-0' }), { kind: 'released', ips: [ip] });
    a.close();
    b.close();
  });

  scenario('strict affinity: a kept address does not follow to another node', async (store) => {
    await addPool(store, '10.9.0.0/24');
    const value = '{"strict_affinity":true,"auto_allocate_blocks":true}';
    await store.transaction([], [{ kind: 'put', key: IPAM_CONFIG_KEY, value }]);
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    const ip = await assigned(a, 'net.x-db-0', { keep: true, attributes: { node: 'a' } });
    const refused = await b.assign(
      request('net.x-db-0', { keep: true, attributes: { node: 'b' } }),
    );
    assert.match(refused.kind === 'refused' ? refused.message : '', /host:a \(strict affinity\)/);
    assert.equal(await assigned(a, 'net.x-db-0', { keep: true, attributes: { node: 'a' } }), ip);
    a.close();
    b.close();
  });

  scenario('a tunnel address is the same again after a restart', async (store) => {
    await addPool(store, '10.10.0.0/24', { allowedUses: ['Workload'] }, 'pods');
    await addPool(store, '10.11.0.0/24', { allowedUses: ['Tunnel'] }, 'tunnels');
    const alongside = (ips: readonly string[]) => ({
      compares: [],
      writes: [{ kind: 'put', key: '/calico/tunnel', value: ips.join() } as const],
    });
    const ask = async () => {
      const allocator = await open(store, 'a');
      return assignTunnelAddress(allocator, { tunnel: 'ipip', node: 'a', alongside });
    };
    const [first, second] = [await ask(), await ask()];
    assert.ok(first.kind === 'assigned' && second.kind === 'assigned');
    assert.match(first.ips.join(), /^10\.11\.0\.\d+$/);
    assert.deepEqual(second.ips, first.ips);
    assert.equal((await store.get('/calico/tunnel'))?.value, first.ips.join());
    const [block] = (await store.list(IPAM)).items;
    assert.match(
      block?.value ?? '',
      /"handle_id":"ipip-tunnel-addr-a","secondary":{"node":"a","type":"ipipTunnelAddress"}/,
    );
  });

  scenario(
    'a release of named addresses: others stay, a new life is not touched',
    async (store) => {
      await addPool(store, '10.12.0.0/24');
      await addPool(store, 'fd00:12::/64', {}, 'six');
      const a = await open(store, 'a');
      const both = await a.assign(request('n.1', { count6: 1 }));
      assert.ok(both.kind === 'assigned');
      const [four, six] = both.ips as [Ip, Ip];
      const lifeOf = async (ip: Ip): Promise<number | bigint | undefined> => {
        for (const { value } of (await store.list(`${IPAM}assignment/`)).items) {
          const block = parseBlock(value);
          if (block.ok && contains(block.value.cidr, ip))
            return block.value.sequenceNumberForAllocation[ordinalOf(block.value.cidr, ip)];
        }
        return undefined;
      };
      const sequenceNumber = (await lifeOf(four)) ?? 0;
      const other = BigInt(sequenceNumber) + 1n;
      const release = (...only: readonly { ip: Ip; sequenceNumber?: number | bigint }[]) =>
        a.release({ handleId: 'n.1', only });
      assert.equal(
        (await release({ ip: six }, { ip: four, sequenceNumber: other })).kind,
        'refused',
      );
      assert.deepEqual(await release({ ip: four, sequenceNumber }), {
        kind: 'released',
        ips: [four],
      });
      assert.deepEqual(await release({ ip: four, sequenceNumber }), { kind: 'released', ips: [] });
      assert.deepEqual(a.addressesOf('n.1'), [six]);
      await audited(store);
      assert.deepEqual(await release({ ip: six }, { ip: six }), { kind: 'released', ips: [six] });
      assert.equal(await store.get(handleKey('n.1')), undefined);
    },
  );

  scenario(
    'a kept address that was taken up again is not freed by who saw it unused',
    async (store) => {
      await addPool(store, '10.13.0.0/24');
      const a = await open(store, 'a');
      const kept = (timestamp: string) =>
        request('n.x-db-0', { keep: true, attributes: { node: 'a', containerID: timestamp } });
      const first = await a.assign(kept('t1'));
      assert.ok(first.kind === 'assigned');
      const block = parseBlock((await store.list(`${IPAM}assignment/`)).items[0]!.value);
      assert.ok(block.ok);
      const [sequenceNumber] = Object.values(block.value.sequenceNumberForAllocation);
      await a.assign(kept('t2'));
      const again = parseBlock((await store.list(`${IPAM}assignment/`)).items[0]!.value);
      assert.ok(again.ok && again.value.sequenceNumber > block.value.sequenceNumber);
      const only = [{ ip: first.ips[0]!, sequenceNumber: sequenceNumber! }];
      assert.equal((await a.release({ handleId: 'n.x-db-0', only })).kind, 'refused');
      assert.deepEqual(a.addressesOf('n.x-db-0'), first.ips);
    },
  );
}
