// What pods get, and what is said of what does not fit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Link } from '../../kernel/kernel.ts';
import { type Encapsulation, encapsulationsOf, OVERHEAD_BYTES } from '../../model/mtu.ts';
import { hostMtuOf, judge } from './judge.ts';
import {
  askedNow,
  effectiveSettings,
  MTU_INTERFACES,
  mtuSettings,
  type TunnelMtus,
} from './settings.ts';

const link = (index: number, name: string, mtu: number, up = true): Link => ({
  index,
  name,
  mtu,
  up,
});

test('the smallest interface to other nodes counts, else the one with the address', () => {
  const links = [
    link(1, 'lo', 65536),
    link(2, 'enp0s3', 9000),
    link(3, 'enp0s8', 1500),
    link(4, 'eth7', 1400, false),
    link(5, 'cali12345678901', 1480),
    link(6, 'docker0', 1300),
  ];
  assert.deepEqual(hostMtuOf(links, MTU_INTERFACES, 2), { mtu: 1500, interfaceName: 'enp0s8' });
  assert.deepEqual(hostMtuOf(links, /^enp0s3$/, 3), { mtu: 9000, interfaceName: 'enp0s3' });
  assert.deepEqual(hostMtuOf(links, /^bond/, 6), { mtu: 1300, interfaceName: 'docker0' });
  assert.equal(hostMtuOf(links, /^bond/, undefined), undefined);
  for (const name of ['eth0', 'ens3', 'eno1', 'enP2p1s0', 'wlan0', 'ib0', 'wwan0'])
    assert.equal(MTU_INTERFACES.test(name), name !== 'ib0', name);
});

test('pools say which headers there are; a disabled one still has pods', () => {
  const pool = (cidr: string, ipipMode?: 'Always' | 'Never', vxlanMode?: 'CrossSubnet') => ({
    cidr,
    ...(ipipMode && { ipipMode }),
    ...(vxlanMode && { vxlanMode }),
  });
  const of = (...pools: ReturnType<typeof pool>[]) => [...encapsulationsOf(pools)];
  assert.deepEqual(of(pool('10.0.0.0/8'), pool('11.0.0.0/8', 'Never')), []);
  assert.deepEqual(of(pool('10.0.0.0/8', 'Always'), pool('fd00::/64', 'Always')), ['ipip']);
  assert.deepEqual(of(pool('fd00::/64', undefined, 'CrossSubnet')), ['vxlanV6']);
  assert.deepEqual(of(pool('10.0.0.0/8', 'Never', 'CrossSubnet')), ['vxlan']);
});

const of = (
  hostMtu: number,
  encapsulations: readonly Encapsulation[],
  asked?: number,
  tunnels: TunnelMtus = {},
) => {
  const host = { mtu: hostMtu, interfaceName: 'eth0' };
  return judge({ host, encapsulations: new Set(encapsulations), tunnels, asked });
};

test('pods get what the largest header leaves, or less when less is asked for', () => {
  const cases: [ReturnType<typeof of>, number][] = [
    [of(1500, []), 1500],
    [of(1500, ['ipip']), 1480],
    [of(1500, ['ipip', 'vxlan']), 1450],
    [of(9000, ['ipip', 'vxlan', 'vxlanV6']), 8930],
    [of(9000, ['ipip'], 1480), 1480],
    [of(1500, ['ipip'], undefined, { ipip: 1400, vxlan: 1300 }), 1400],
  ];
  for (const [{ podMtu, problem }, wanted] of cases) {
    assert.equal(podMtu, wanted);
    assert.equal(problem, undefined);
  }
});

test('the largest packet between nodes: what pods get and the outer headers', () => {
  assert.equal(of(1500, []).wire, 1500);
  assert.equal(of(1500, ['ipip']).wire, 1500);
  assert.equal(of(9000, ['ipip', 'vxlan'], 1450).wire, 1500);
  assert.equal(of(1400, ['ipip'], 1480).wire, 1400);
});

test('what does not fit is told with both figures and the way out', () => {
  assert.deepEqual(of(1400, ['ipip'], 1480), {
    host: { mtu: 1400, interfaceName: 'eth0' },
    podMtu: 1380,
    wire: 1400,
    problem:
      'pods are meant to get an MTU of 1480, but eth0 carries 1400, less 20 of IP-in-IP: large ' +
      'packets are lost; set networking.mtu: 1400, or mtuIfacePattern if eth0 leads to no node',
  });
  assert.match(of(1400, [], 1500).problem!, /eth0 carries 1400: large packets/);
  assert.match(of(1500, ['vxlan'], 1480).problem!, /carries 1500, less 50 of VXLAN:/);
  assert.equal(
    of(1500, ['vxlan'], undefined, { vxlan: 1480 }).problem,
    'FelixConfiguration vxlanMTU is 1480, but eth0 carries 1500, less 50 of VXLAN: large packets are ' +
      'lost; set it to 1450',
  );
});

test('no verdict gives pods more than any tunnel carries', () => {
  const mtus = fc.integer({ min: 576, max: 9100 });
  const each = fc.constantFrom<Encapsulation>('ipip', 'vxlan', 'vxlanV6');
  const tunnels = fc.record({ ipip: mtus, vxlan: mtus, vxlanV6: mtus }, { requiredKeys: [] });
  fc.assert(
    fc.property(mtus, fc.uniqueArray(each), fc.option(mtus), tunnels, (host, on, asked, set) => {
      const { podMtu, problem } = of(host, on, asked ?? undefined, set);
      for (const one of on) assert.ok(podMtu <= host - OVERHEAD_BYTES[one]);
      assert.ok(podMtu <= host);
      const fits = (asked ?? 0) <= Math.min(host, ...on.map((one) => host - OVERHEAD_BYTES[one]));
      const tunnelsFit = on.every((one) => (set[one] ?? 0) <= host - OVERHEAD_BYTES[one]);
      assert.equal(problem === undefined, fits && tunnelsFit);
    }),
  );
});

test('settings: the environment over FelixConfiguration over the default; 0 is automatic', () => {
  const own = mtuSettings({ FELIX_IPINIPMTU: '1400', CNI_MTU: '1380' });
  assert.ok(own.ok);
  const felix = { ipipMTU: 1300, vxlanMTU: 0, vxlanMTUV6: 1200, mtuIfacePattern: '^bond' };
  const both = effectiveSettings(own.value, felix);
  assert.deepEqual(both.tunnels, { ipip: 1400, vxlanV6: 1200 });
  assert.equal(both.pattern.source, '^bond');
  assert.equal(effectiveSettings(own.value, { mtuIfacePattern: '(' }).pattern, MTU_INTERFACES);
  const pattern = mtuSettings({ FELIX_MTUIFACEPATTERN: '^br-ex$' });
  assert.ok(pattern.ok);
  assert.equal(effectiveSettings(pattern.value, felix).pattern.source, '^br-ex$');
});

test('what pods are meant to get follows the pools where the physical MTU is known', () => {
  const physical = mtuSettings({ CNI_MTU: '1480', CALICO_PHYSICAL_MTU: '1500' });
  assert.ok(physical.ok);
  const of = (...each: Encapsulation[]) => askedNow(physical.value, new Set(each));
  assert.deepEqual(
    [of('ipip'), of('vxlan'), of('ipip', 'vxlanV6'), of()],
    [1480, 1450, 1430, 1500],
  );
  assert.equal(askedNow({ asked: 1480, physical: undefined }, new Set(['vxlan'])), 1480);
});
