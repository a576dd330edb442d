// A VXLAN device's entries: what is written makes them right, and writing twice changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openLog } from '../../base/log.io.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { ip } from '../../net/ip.ts';
import { mac } from '../../net/mac.ts';
import { VtepTable } from './vtep-table.io.ts';
import { type Vtep, vtepChanges, vtepOf } from './vteps.ts';

const MAC = mac('66:00:00:00:00:01');

function device() {
  const kernel = memoryKernel();
  const parent = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  const vxlan = {
    vni: 4096,
    port: 4789,
    local: ip('10.0.0.1'),
    parentIndex: parent.index,
    learning: false,
  };
  kernel.apply([{ kind: 'addVxlan', name: 'vxlan.calico', mac: MAC, mtu: 1450, vxlan }]);
  return { kernel, linkIndex: kernel.link('vxlan.calico')!.index };
}

const small = fc.integer({ min: 1, max: 6 });
const someVtep = fc.tuple(small, small, small).map(
  ([address, hardware, node]): Vtep => ({
    ip: ip(`192.168.0.${address}`),
    mac: mac(`66:00:00:00:00:0${hardware}`),
    node: ip(`10.0.0.${node}`),
  }),
);
const someVteps = fc.uniqueArray(someVtep, {
  maxLength: 5,
  selector: ({ mac: address }) => address,
});

test('the changes lead from any entries to the wanted ones, and no further', () => {
  fc.assert(
    fc.property(someVteps, someVteps, (before, wanted) => {
      const { kernel, linkIndex } = device();
      const present = () => ({
        neighbours: kernel.neighbours(linkIndex),
        forwarding: kernel.forwarding(linkIndex),
      });
      for (const vteps of [before, wanted]) kernel.apply(vtepChanges(linkIndex, vteps, present()));
      const { neighbours, forwarding } = present();
      assert.deepEqual(
        new Map(neighbours.map((n) => [n.ip, n.mac])),
        new Map(wanted.map((v) => [v.ip, v.mac])),
      );
      assert.deepEqual(
        new Map(forwarding.map((entry) => [entry.mac, entry.remote])),
        new Map(wanted.map((v) => [v.mac, v.node])),
      );
      assert.deepEqual(vtepChanges(linkIndex, wanted, present()), []);
    }),
  );
});

test('an entry that is changed by hand is put right; the own writes wake nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { kernel, linkIndex } = device();
  const vtep: Vtep = { ip: ip('192.168.0.1'), mac: mac('66:00:00:00:00:02'), node: ip('10.0.0.2') };
  const table = new VtepTable({ kernel, log: openLog('test', 'fatal'), wanted: () => [vtep] });
  kernel.subscribe((event) => table.heard(event), new AbortController().signal, {
    neighbours: true,
  });
  const told = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) await Promise.resolve();
  };
  table.setDevice(linkIndex);
  await told();
  const reads = t.mock.method(kernel, 'forwarding');
  t.mock.timers.tick(1000);
  assert.equal(reads.mock.callCount(), 0);
  const entry = { linkIndex, mac: vtep.mac, remote: vtep.node };
  kernel.apply([
    { kind: 'deleteForwarding', ...entry },
    { kind: 'setNeighbour', linkIndex, ip: vtep.ip, mac: mac('66:00:00:00:00:99') },
  ]);
  await told();
  t.mock.timers.tick(1000);
  assert.deepEqual(kernel.forwarding(linkIndex), [entry]);
  assert.deepEqual(kernel.neighbours(linkIndex), [{ linkIndex, ip: vtep.ip, mac: vtep.mac }]);
});

test('what a Node says of its device; without a word the name gives the hardware address', () => {
  const bgp = { ipv4Address: '10.0.0.2/24' };
  const spec = { bgp, ipv4VXLANTunnelAddr: '192.168.0.1' };
  assert.deepEqual(vtepOf('n1', spec, 4), {
    node: '10.0.0.2',
    ip: '192.168.0.1',
    mac: '66:40:b3:ea:b6:3f',
  });
  assert.equal(vtepOf('n1', { ...spec, vxlanTunnelMACAddr: MAC }, 4)?.mac, MAC);
  assert.equal(vtepOf('n1', spec, 6), undefined);
  assert.equal(vtepOf('n1', { bgp }, 4), undefined);
  assert.equal(vtepOf('n1', { ipv4VXLANTunnelAddr: '192.168.0.1' }, 4), undefined);
});
