// The tunnel devices of a node on the memory kernel and datastore: made as the pools want, one beside the
// other, and gone a second after nobody wants them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openLog } from '../../base/log.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { openAllocator } from '../../ipam/allocator.io.ts';
import type { LinkChange } from '../../kernel/kernel.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { API_VERSION, parseResource, printResource } from '../../model/resource.ts';
import { ip } from '../../net/ip.ts';
import { ipipDriver } from './ipip.io.ts';
import { Tunnels } from './tunnels.io.ts';
import { vxlanDriver } from './vxlan.io.ts';

const CIDR = '192.168.0.0/16';
const KEY = resourceKey('nodes', 'n1');
const MAC = '66:40:b3:ea:b6:3f';

const poolOf = (spec: Partial<IpPoolSpec>): IpPool => ({
  kind: 'IPPool',
  apiVersion: API_VERSION,
  metadata: { name: 'p' },
  spec: { cidr: CIDR, nodeSelector: 'all()', ...spec },
});

async function machine(spec: NodeSpec = {}) {
  const store = memoryStore();
  const kernel = memoryKernel();
  const stop = new AbortController();
  const log = openLog('test', 'fatal');
  const time = { now: 0 };
  const clock = { now: () => time.now, date: () => new Date(0) };
  const put = (key: string, value: object) =>
    store.transaction([], [{ kind: 'put', key, value: printResource(value as Node) }]);
  kernel.addLink({ name: 'eth0', mtu: 1500, up: true }, [
    { ip: ip('10.0.0.1'), prefixLength: 24, scope: 'global' },
  ]);
  const node = { kind: 'Node', apiVersion: API_VERSION, metadata: { name: 'n1' } };
  await put(KEY, { ...node, spec: { bgp: { ipv4Address: '10.0.0.1/24' }, ...spec } });
  const pools: IpPool[] = [];
  const setPool = async (modes: Partial<IpPoolSpec>): Promise<void> => {
    pools.splice(0, pools.length, poolOf(modes));
    await put(resourceKey('ippools', 'p'), pools[0]!);
  };
  const allocator = openAllocator({ store, node: 'n1', clock, log });
  await allocator.ready();
  const options = { vni: 4096, port: 4789, checksumOffloadBroken: true };
  const ready: string[] = [];
  const driver = vxlanDriver({
    tunnel: 'vxlan',
    kernel,
    log,
    options: () => options,
    ready: ({ name }) => ready.push(name),
  });
  const tunnels = new Tunnels({
    node: 'n1',
    store,
    kernel,
    allocator,
    clock,
    log,
    signal: stop.signal,
    pools: () => pools,
    mtu: () => undefined,
    drivers: [ipipDriver(kernel, log), driver],
    onChange: () => {},
  });
  const stored = async (): Promise<NodeSpec> => {
    const item = await store.get(KEY);
    const parsed = item && parseResource<'Node', NodeSpec>('Node', item.value);
    assert.ok(parsed?.ok);
    return parsed.value.spec;
  };
  /** Everything that was to be done has been. */
  const settle = (): Promise<void> => {
    tunnels.wake();
    return heard();
  };
  /** Of what the kernel told. */
  const heard = async (): Promise<void> => {
    // The kernel's words about what was done come a moment later.
    for (let i = 0; i < 3; i++) {
      await setImmediate();
      await tunnels.settled();
    }
  };
  const addressesOn = (name: string) => {
    const index = kernel.link(name)?.index;
    return kernel
      .addresses()
      .flatMap((a) => (a.linkIndex === index ? [`${a.ip}/${a.prefixLength}`] : []));
  };
  const close = (): void => {
    stop.abort();
    allocator.close();
  };
  return {
    kernel,
    time,
    setPool,
    stored,
    settle,
    heard,
    addressesOn,
    options,
    ready,
    close,
    allocator,
  };
}

test('VXLAN: device, address and record; another VNI makes it anew; the offload is off', async () => {
  const m = await machine();
  await m.setPool({ vxlanMode: 'Always' });
  await m.settle();
  const { ipv4VXLANTunnelAddr: address, vxlanTunnelMACAddr } = await m.stored();
  const { mac, mtu, up, vxlan } = m.kernel.link('vxlan.calico')!;
  assert.deepEqual([mac, mtu, up, vxlanTunnelMACAddr], [MAC, 1450, true, MAC]);
  const parentIndex = m.kernel.link('eth0')!.index;
  const expected = { vni: 4096, port: 4789, local: '10.0.0.1', parentIndex, learning: false };
  assert.deepEqual(vxlan, expected);
  assert.deepEqual(m.addressesOn('vxlan.calico'), [`${address}/32`]);
  assert.deepEqual(m.allocator.addressesOf('vxlan-tunnel-addr-n1'), [address]);
  assert.equal(m.kernel.offloadsChecksums('vxlan.calico'), false);
  m.options.vni = 77;
  m.options.checksumOffloadBroken = false;
  await m.settle();
  assert.equal(m.kernel.link('vxlan.calico')?.vxlan?.vni, 77);
  assert.equal(m.kernel.offloadsChecksums('vxlan.calico'), true);
  assert.deepEqual(m.addressesOn('vxlan.calico'), [`${address}/32`]);
  m.close();
});

test('a hardware address that somebody chose is kept, also when VXLAN goes', async () => {
  const chosen = '02:00:00:00:00:07';
  const m = await machine({ vxlanTunnelMACAddr: chosen });
  await m.setPool({ vxlanMode: 'CrossSubnet' });
  await m.settle();
  assert.equal(m.kernel.link('vxlan.calico')?.mac, chosen);
  await m.setPool({});
  await m.settle();
  m.time.now += 1001;
  await m.settle();
  assert.equal(m.kernel.link('vxlan.calico'), undefined);
  const { ipv4VXLANTunnelAddr, vxlanTunnelMACAddr } = await m.stored();
  assert.deepEqual([ipv4VXLANTunnelAddr, vxlanTunnelMACAddr], [undefined, chosen]);
  assert.deepEqual(m.allocator.addressesOf('vxlan-tunnel-addr-n1'), []);
  m.close();
});

test('from one to the other: the new device is there before the old one goes, a second later', async () => {
  const m = await machine();
  await m.setPool({ ipipMode: 'Always' });
  await m.settle();
  const { bgp } = await m.stored();
  assert.deepEqual(m.addressesOn('tunl0'), [`${bgp?.ipv4IPIPTunnelAddr}/32`]);
  await m.setPool({ vxlanMode: 'Always' });
  await m.settle();
  assert.equal(m.kernel.link('vxlan.calico')?.up, true);
  assert.equal(m.kernel.link('tunl0')?.up, true, 'others may still send by it');
  m.time.now += 1001;
  await m.settle();
  assert.deepEqual([m.kernel.link('tunl0')?.up, m.addressesOn('tunl0')], [false, []]);
  const { bgp: after, ipv4VXLANTunnelAddr } = await m.stored();
  assert.equal(after?.ipv4IPIPTunnelAddr, undefined);
  assert.ok(ipv4VXLANTunnelAddr);
  m.close();
});

test('what somebody does to the device or its address is mended, as soon as it is heard', async () => {
  const m = await machine();
  await m.setPool({ ipipMode: 'Always' });
  await m.settle();
  const { index, mtu } = m.kernel.link('tunl0')!;
  const own = m.addressesOn('tunl0');
  const [address] = own.map((text) => ip(text.replace('/32', '')));
  const at = { linkIndex: index, prefixLength: 32 };
  const harms: readonly LinkChange[] = [
    { kind: 'deleteAddress', ip: address!, ...at },
    { kind: 'addAddress', ip: ip('192.0.2.1'), ...at },
    { kind: 'setLink', index, up: false },
    { kind: 'setLink', index, mtu: 1300 },
  ];
  for (const harm of harms) {
    m.kernel.apply([harm]);
    await m.heard();
    const { up, mtu: now } = m.kernel.link('tunl0')!;
    assert.deepEqual([up, now, m.addressesOn('tunl0')], [true, mtu, own], harm.kind);
  }
  await m.kernel.deleteLink('tunl0');
  await m.heard();
  assert.deepEqual([m.kernel.link('tunl0')?.up, m.addressesOn('tunl0')], [true, own]);
  m.close();
});

test('a pool that is disabled has pods: it keeps the device, and the address where there is one', async () => {
  const m = await machine();
  await m.setPool({ vxlanMode: 'Always', disabled: true });
  await m.settle();
  assert.equal(m.kernel.link('vxlan.calico')?.up, true);
  assert.deepEqual(m.addressesOn('vxlan.calico'), []);
  await m.setPool({ vxlanMode: 'Always' });
  await m.settle();
  const { ipv4VXLANTunnelAddr } = await m.stored();
  assert.deepEqual(m.addressesOn('vxlan.calico'), [`${ipv4VXLANTunnelAddr}/32`]);
  await m.setPool({ vxlanMode: 'Always', disabled: true });
  m.time.now += 5000;
  await m.settle();
  assert.equal((await m.stored()).ipv4VXLANTunnelAddr, ipv4VXLANTunnelAddr);
  assert.equal(m.kernel.link('vxlan.calico')?.up, true);
  m.close();
});

for (const [mode, device, address] of [
  ['ipipMode', 'tunl0', ({ bgp }: NodeSpec) => bgp?.ipv4IPIPTunnelAddr],
  ['vxlanMode', 'vxlan.calico', ({ ipv4VXLANTunnelAddr: told }: NodeSpec) => told],
] as const)
  test(`${device}: a node whom no pool selects sends to those it selects, from no address of it`, async () => {
    const m = await machine();
    const others = { nodeSelector: "rack == 'other'" };
    const isUp = () => m.kernel.link(device)?.up;
    await m.setPool({ [mode]: 'CrossSubnet', ...others });
    await m.settle();
    assert.deepEqual(
      [isUp(), m.addressesOn(device), address(await m.stored())],
      [true, [], undefined],
    );
    assert.equal(m.kernel.link(device)?.mtu, mode === 'ipipMode' ? 1480 : 1450);
    // The others must let its packets in.
    const mac = mode === 'ipipMode' ? undefined : MAC;
    assert.equal((await m.stored()).vxlanTunnelMACAddr, mac);
    await m.setPool({ [mode]: 'CrossSubnet' });
    await m.settle();
    const given = address(await m.stored());
    assert.ok(given);
    assert.deepEqual(m.addressesOn(device), [`${given}/32`]);
    await m.setPool({ [mode]: 'CrossSubnet', ...others });
    await m.settle();
    assert.deepEqual(
      [isUp(), m.addressesOn(device), address(await m.stored())],
      [true, [], undefined],
    );
    assert.deepEqual(m.allocator.addressesOf('vxlan-tunnel-addr-n1'), []);
    await m.setPool({});
    await m.settle();
    m.time.now += 1001;
    await m.settle();
    assert.notEqual(isUp(), true);
    assert.equal((await m.stored()).vxlanTunnelMACAddr, undefined);
    m.close();
  });
