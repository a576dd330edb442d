// Commands that change the datastore, on the memory twin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strictProblems } from '../../../test/golden/strict-types.ts';
import { systemClock } from '../../base/clock.io.ts';
import { type MemoryStore, memoryStore } from '../../datastore/memory.ts';
import { auditIpam } from '../../ipam/audit.ts';
import { assignOne, emptyBlock, releaseHandle } from '../../ipam/block.ts';
import { type IpamBlock, type IpamHandle, parseBlock, printIpam } from '../../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  IPAM_CONFIG_KEY,
  ROOT,
  resourceKey,
} from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { check, type Report } from './check.ts';
import { configure, split } from './configure.ts';
import { lastingIdle } from './idle-handles.ts';
import { collect, lastingLeaks, parseReport, releaseAddress, reportProblem } from './release.ts';
import { showAddress } from './show.ts';
import { readWorld, type World } from './world.ts';

const RANGE = cidr('10.0.0.0/29');
const worldOf = async (store: MemoryStore): Promise<World> =>
  readWorld((await store.list(ROOT)).items, new Date(0));
const leakedOf = (world: World): Report['leaked'] => (check(world, 'v1').data as Report).leaked;

const leak = { handle_id: 'net.leak', secondary: { node: 'a', pod: 'x', namespace: 'd' } };

function leaky(secondary = {}): {
  store: MemoryStore;
  block: IpamBlock;
  parts: Parameters<typeof collect>[0];
} {
  const store = memoryStore();
  const empty = emptyBlock({ cidr: RANGE, owner: 'host:a', claimedAt: 't', sequenceNumber: 7n });
  const { block } = assignOne(empty, { ...leak, secondary: { ...leak.secondary, ...secondary } });
  store.put(blockKey(RANGE), printIpam(block));
  store.put(affinityKey('a', RANGE), '{"state":"confirmed","deleted":false}');
  store.put(handleKey('net.leak'), printIpam({ block: { [RANGE]: 1 }, deleted: false }));
  const metadata = { name: 'p' };
  const spec = { cidr: '10.0.0.0/24', blockSize: 29 };
  store.put(
    resourceKey('ippools', 'p'),
    printResource({ kind: 'IPPool', apiVersion: API_VERSION, metadata, spec }),
  );
  return { store, block, parts: { store, clock: systemClock, dryRun: false } };
}

test('ipam release --ip', async () => {
  const { store, parts } = leaky();
  const release = async (dryRun = false) =>
    releaseAddress({ ...parts, dryRun }, await worldOf(store), ip('10.0.0.0'));
  assert.deepEqual((await release(true)).lines, ['Would release IP address 10.0.0.0 of net.leak']);
  assert.deepEqual((await release()).lines, ['Successfully released IP address 10.0.0.0']);
  assert.deepEqual((await release()).lines, ['IP address 10.0.0.0 is not assigned']);
  assert.deepEqual(auditIpam((await store.list(ROOT)).items), []);
});

test('ipam release --ip of an address without a handle', async () => {
  const { store, block, parts } = leaky();
  store.put(blockKey(RANGE), printIpam({ ...block, attributes: [{ secondary: { node: 'a' } }] }));
  await store.transaction([], [{ kind: 'delete', key: handleKey('net.leak') }]);
  const [before, release] = [
    await worldOf(store),
    (world: World, dryRun = false) => releaseAddress({ ...parts, dryRun }, world, ip('10.0.0.0')),
  ];
  const dry = await release(before, true);
  assert.deepEqual(dry.lines, ['Would release IP address 10.0.0.0 without a handle']);
  assert.deepEqual((await release(before)).lines, ['Successfully released IP address 10.0.0.0']);
  assert.equal((await release(before)).failed, true, 'its block has changed since');
  const after = await release(await worldOf(store));
  assert.deepEqual(after.lines, ['IP address 10.0.0.0 is not assigned']);
  assert.deepEqual(auditIpam((await store.list(ROOT)).items), []);
});

test('ipam gc: a dry run changes nothing; the other frees what leaked at both looks', async () => {
  const { store, parts } = leaky();
  const world = await worldOf(store);
  const leaks = lastingLeaks(world, [leakedOf(world)]);
  const dry = await collect({ ...parts, dryRun: true }, leaks);
  assert.deepEqual(dry.lines, ['  10.0.0.0 of net.leak', 'Would release 1 old IPs.']);
  assert.equal(leakedOf(await worldOf(store)).length, 1);
  assert.deepEqual((await collect(parts, leaks)).lines, [
    'Releasing 1 old IPs...',
    'Released 1 IPs successfully',
    'Released 1 handles; 0 skipped; 0 errors.',
  ]);
  assert.equal((check(await worldOf(store), 'v1').data as Report).problems, 0);
});

test('an address under another main plugin has no endpoint and is never taken for a leak', async () => {
  const world = await worldOf(leaky({ 'calico-kit.io/main-plugin': 'ptp' }).store);
  assert.deepEqual(lastingLeaks(world, [leakedOf(world)]), []);
});

test('an address in a new life is no lasting leak, and is not freed for an old one', async () => {
  const { store, block, parts } = leaky();
  const before = await worldOf(store);
  const leaks = lastingLeaks(before, [leakedOf(before)]);
  const freed = releaseHandle(block, 'net.leak')!.block;
  store.put(blockKey(RANGE), printIpam(assignOne(freed, leak, 0).block));
  assert.deepEqual(lastingLeaks(await worldOf(store), [leakedOf(before)]), []);
  const outcome = await collect(parts, leaks);
  assert.equal(outcome.lines.at(-1), 'Released 0 handles; 1 skipped; 0 errors.');
  const stored = parseBlock((await store.get(blockKey(RANGE)))!.value);
  assert.equal(stored.ok && stored.value.allocations[0], 0);
});

test('handles without addresses go with the leaks; one that changed meanwhile stays', async () => {
  const { store, parts } = leaky();
  const put = (id: string, blocks: object): unknown =>
    store.put(handleKey(id), printIpam({ block: blocks, deleted: false } as IpamHandle));
  put('net.idle', { [RANGE]: 1 });
  put('net.moving', { [RANGE]: 1 });
  put('net.dark', { '10.0.0.8/29': 1 });
  store.put(blockKey(cidr('10.0.0.8/29')), '{"cidr":');
  const first = check(await worldOf(store), 'v1').data as Report;
  put('net.moving', { [RANGE]: 1 });
  const world = await worldOf(store);
  const handles = lastingIdle(world, [first.leakedHandles]);
  assert.deepEqual(
    handles.map(({ id }) => id),
    ['net.idle'],
  );
  const dry = await collect({ ...parts, dryRun: true }, [], { world, handles });
  assert.deepEqual(dry.lines.slice(-2), ['  net.idle', 'Would remove 1 handles without IPs.']);
  const { block } = leaky();
  store.put(blockKey(RANGE), printIpam(block));
  const late = await collect(parts, [], { world, handles });
  assert.equal(late.lines.at(-1), 'Released 0 handles; 1 skipped; 0 errors.', 'the block changed');
  const now = await worldOf(store);
  const done = await collect(parts, [], { world: now, handles });
  assert.equal(done.lines.at(-1), 'Released 1 handles; 0 skipped; 0 errors.');
  assert.equal(await store.get(handleKey('net.idle')), undefined);
  assert.ok(await store.get(handleKey('net.dark')), 'its block cannot be read');
});

test('a report without leaked handles removes none', async () => {
  const { store } = leaky();
  store.put(handleKey('net.idle'), printIpam({ block: { [RANGE]: 1 }, deleted: false }));
  assert.deepEqual(lastingIdle(await worldOf(store), [undefined]), []);
});

test('what is no report is told so', () => {
  for (const text of ['', '[', 'null', '{}', '{"version":"v1","leaked":{}}'])
    assert.deepEqual(parseReport(text), {
      ok: false,
      error: 'it is no report of `ipam check -o FILE`',
    });
  assert.equal(parseReport('{"version":"v1","leaked":[]}').ok, true);
});

test('a report of another cluster, version or time is refused', async () => {
  const world = await worldOf(leaky().store);
  const report = check(world, 'v1').data as Report;
  assert.equal(reportProblem(world, report, 'v1'), undefined);
  assert.match(reportProblem(world, { ...report, clusterGUID: 'x' }, 'v1')!, /cluster 'x'/);
  assert.match(reportProblem(world, report, 'v2')!, /made by v1, this is v2/);
  const leaked = [{ ip: ip('10.9.9.9'), handle: 'h', sequenceNumber: '1' }];
  assert.match(reportProblem(world, { ...report, leaked }, 'v1')!, /stale: 10\.9\.9\.9/);
});

test('ipam configure: unknown fields stay, nonsense is refused', async () => {
  const { store } = leaky();
  const set = async (changes: Parameters<typeof configure>[2]) =>
    (await configure(store, await worldOf(store), changes)).lines;
  const dry = await configure(store, await worldOf(store), { ipCooldownSeconds: 9 }, true);
  assert.deepEqual(dry.lines, ['Would set IPCooldownSeconds to: 9']);
  assert.equal(await store.get(IPAM_CONFIG_KEY), undefined);
  assert.deepEqual(await set({ strict_affinity: true, maxBlocksPerHost: 4 }), [
    'Successfully set StrictAffinity to: true',
    'Successfully set MaxBlocksPerHost to: 4',
  ]);
  await assert.rejects(set({ ipCooldownSeconds: 1201 }), /not within 0\.\.1200/);
  await assert.rejects(set({ maxBlocksPerHost: 2 ** 31 }), /not within 0\.\.2147483647/);
  await assert.rejects(set({ strict_affinity: false }), /maxBlocksPerHost needs strictAffinity/);
  assert.deepEqual(JSON.parse((await store.get(IPAM_CONFIG_KEY))!.value), {
    auto_allocate_blocks: true,
    strict_affinity: true,
    maxBlocksPerHost: 4,
  });
  const stale = await worldOf(store);
  store.put(IPAM_CONFIG_KEY, '{"auto_allocate_blocks":true}');
  await assert.rejects(configure(store, stale, { ipCooldownSeconds: 5 }), /somebody else/);
});

test('an address in a block that cannot be read is not called free', async () => {
  const { store, parts } = leaky();
  store.put(blockKey(cidr('10.0.0.8/29')), '{"cidr":');
  const world = await worldOf(store);
  const unknown = /nobody knows who has 10\.0\.0\.9: .*10\.0\.0\.8-29 cannot be read/;
  assert.throws(() => showAddress(world, ip('10.0.0.9')), unknown);
  await assert.rejects(releaseAddress(parts, world, ip('10.0.0.9')), unknown);
  assert.deepEqual(showAddress(world, ip('10.0.0.16')).lines, ['10.0.0.16 is not assigned']);
});

const BIRTH = {
  uid: '00000000-0000-4000-8000-000000000000',
  creationTimestamp: '2026-11-23T00:00:00Z',
};

test('ipam split: the parts take the place of the pool at once; what is unsafe is refused', async () => {
  const { store } = leaky();
  const go = async (count: number, which: object) =>
    split(store, await worldOf(store), count, which, () => BIRTH);
  await assert.rejects(go(3, { name: 'p' }), /a power of 2/);
  await assert.rejects(go(64, { name: 'p' }), /a part must hold at least one block of \/29/);
  await assert.rejects(go(2, {}), /No name or CIDR provided/);
  await assert.rejects(go(2, { name: 'q' }), /Unable to find IP pool q/);
  assert.deepEqual((await go(2, { name: 'p', dryRun: true })).lines, [
    'Would split IP pool p into 2 smaller pools.',
    'Would create split-p-0 with CIDR 10.0.0.0/25.',
    'Would create split-p-1 with CIDR 10.0.0.128/25.',
  ]);
  assert.deepEqual((await go(2, { cidr: '10.0.0.0/24' })).lines, [
    'IP Pool p was successfully split into 2 smaller pools.',
    'Created split-p-0 with CIDR 10.0.0.0/25.',
    'Created split-p-1 with CIDR 10.0.0.128/25.',
  ]);
  assert.equal(await store.get(resourceKey('ippools', 'p')), undefined);
  const part = await store.get(resourceKey('ippools', 'split-p-0'));
  assert.deepEqual(strictProblems(part ? [part] : []), []);
  assert.deepEqual(auditIpam((await store.list(ROOT)).items), []);
});

test('ipam split finds a pool however its CIDR is written', async () => {
  const { store } = leaky();
  const metadata = { name: 'six' };
  const pool = { kind: 'IPPool', apiVersion: API_VERSION, metadata, spec: { cidr: 'FD00:0::/64' } };
  store.put(resourceKey('ippools', 'six'), printResource(pool));
  const world = await worldOf(store);
  const which = { cidr: 'fd00::/64', dryRun: true };
  const { lines } = await split(store, world, 2, which, () => BIRTH);
  assert.equal(lines[1], 'Would create split-six-0 with CIDR fd00::/65.');
  await assert.rejects(
    split(store, world, 2, { cidr: 'x' }, () => BIRTH),
    /find IP pool x/,
  );
});
