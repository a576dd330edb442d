// What every kernel must do with VXLAN devices: settings, neighbours, forwarding, checksum offload, events.
import assert from 'node:assert/strict';
import type { OpError } from '../base/op-error.ts';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import type { KernelFixture } from './kernel.cases.ts';
import type { Kernel, KernelEvent, Link, VxlanSettings } from './kernel.ts';

const NAME = 'vxlan.calico';
const MAC = mac('66:11:22:33:44:55');
const REMOTE = { mac: mac('66:aa:bb:cc:dd:ee'), ip: ip('192.168.9.64'), host: ip('10.0.0.2') };

async function parentOf({ kernel, podNetns }: KernelFixture): Promise<Link> {
  const link = await kernel.addVeth({ name: 'nic', peer: 'p', peerNetns: podNetns, mtu: 1500 });
  const address = { linkIndex: link.index, ip: ip('10.0.0.1'), prefixLength: 24 };
  kernel.apply([
    { kind: 'setLink', index: link.index, up: true },
    { kind: 'addAddress', ...address },
  ]);
  return link;
}

const settings = (parent: Link): VxlanSettings => ({
  vni: 4096,
  port: 4789,
  local: ip('10.0.0.1'),
  parentIndex: parent.index,
  learning: false,
});

function addDevice(kernel: Kernel, vxlan: VxlanSettings): Link {
  kernel.apply([{ kind: 'addVxlan', name: NAME, mac: MAC, mtu: 1450, vxlan }]);
  const link = kernel.link(NAME);
  assert.ok(link);
  kernel.apply([{ kind: 'setLink', index: link.index, up: true }]);
  return link;
}

const hasErrno = (errno: number) => (cause: unknown) => (cause as OpError).errno === errno;

export function vxlanCases(
  scenario: (what: string, work: (fixture: KernelFixture) => void | Promise<void>) => void,
): void {
  scenario(
    'a VXLAN device reads back as it was made; one of its name is enough',
    async (fixture) => {
      const { kernel } = fixture;
      const vxlan = settings(await parentOf(fixture));
      const { kind, mac: address, mtu, up, vxlan: read } = addDevice(kernel, vxlan);
      assert.deepEqual([kind, address, mtu, up], ['vxlan', MAC, 1450, false]);
      assert.deepEqual(read, vxlan);
      const again = { kind: 'addVxlan', name: NAME, mac: MAC, mtu: 1450, vxlan } as const;
      assert.throws(() => kernel.apply([again]), hasErrno(17));
      assert.throws(() => kernel.apply([{ ...again, name: 'other' }]), hasErrno(17));
      assert.equal(kernel.links().find(({ name }) => name === NAME)?.vxlan?.vni, 4096);
      assert.equal(await kernel.deleteLink(NAME), true);
      assert.equal(kernel.link(NAME), undefined);
    },
  );

  scenario('an IPv6 VXLAN device stands beside the other of its VNI and port', async (fixture) => {
    const { kernel } = fixture;
    const parent = await parentOf(fixture);
    addDevice(kernel, settings(parent));
    const vxlan = { ...settings(parent), local: ip('fd00::1') };
    kernel.apply([{ kind: 'addVxlan', name: 'vxlan-v6.calico', mac: MAC, mtu: 1430, vxlan }]);
    assert.deepEqual(kernel.link('vxlan-v6.calico')?.vxlan, vxlan);
  });

  scenario('neighbours and forwarding: set, replaced, read back, removed', async (fixture) => {
    const { kernel } = fixture;
    const { index: linkIndex } = addDevice(kernel, settings(await parentOf(fixture)));
    const neighbour = { linkIndex, ip: REMOTE.ip, mac: REMOTE.mac };
    const six = { linkIndex, ip: ip('fd00:9::40'), mac: REMOTE.mac };
    const entry = { linkIndex, mac: REMOTE.mac, remote: REMOTE.host };
    const other = mac('66:00:00:00:00:01');
    kernel.apply([
      { kind: 'setNeighbour', ...neighbour, mac: other },
      { kind: 'setNeighbour', ...neighbour },
      { kind: 'setNeighbour', ...six },
      { kind: 'setForwarding', ...entry, remote: ip('10.0.0.9') },
      { kind: 'setForwarding', ...entry },
    ]);
    assert.deepEqual(kernel.neighbours(linkIndex), [neighbour, six]);
    assert.deepEqual(kernel.forwarding(linkIndex), [entry]);
    assert.deepEqual(kernel.neighbours(1), []);
    assert.deepEqual(kernel.forwarding(1), []);
    kernel.apply([
      { kind: 'deleteNeighbour', linkIndex, ip: REMOTE.ip },
      { kind: 'deleteForwarding', ...entry },
    ]);
    assert.deepEqual(kernel.neighbours(linkIndex), [six]);
    assert.deepEqual(kernel.forwarding(linkIndex), []);
    const gone = { kind: 'deleteForwarding', ...entry } as const;
    assert.throws(() => kernel.apply([gone]), hasErrno(2));
  });

  scenario('checksum offload of a link is switched off and on', async (fixture) => {
    const { kernel } = fixture;
    addDevice(kernel, settings(await parentOf(fixture)));
    assert.equal(kernel.offloadsChecksums(NAME), true);
    kernel.setChecksumOffload(NAME, false);
    assert.equal(kernel.offloadsChecksums(NAME), false);
    assert.equal(kernel.offloadsChecksums('nic'), true);
    kernel.setChecksumOffload(NAME, true);
    assert.equal(kernel.offloadsChecksums(NAME), true);
    assert.throws(() => kernel.setChecksumOffload('none', false), hasErrno(19));
  });

  scenario(
    'who asks is told of neighbours and forwarding entries, others are not',
    async (fixture) => {
      const { kernel } = fixture;
      const { index: linkIndex } = addDevice(kernel, settings(await parentOf(fixture)));
      const stop = new AbortController();
      const [told, others]: [string[], string[]] = [[], []];
      const note = (event: KernelEvent, into: string[]): void => {
        if (event.kind === 'neighbour' && event.neighbour.ip === REMOTE.ip)
          into.push(`${event.gone ? '-' : '+'}neighbour`);
        if (event.kind === 'forwarding' && event.entry.remote === REMOTE.host)
          into.push(`${event.gone ? '-' : '+'}forwarding`);
      };
      const done = Promise.withResolvers<void>();
      kernel.subscribe((event) => note(event, others), stop.signal);
      kernel.subscribe(
        (event) => {
          note(event, told);
          if (told.includes('-forwarding') && told.includes('-neighbour')) done.resolve();
        },
        stop.signal,
        { neighbours: true },
      );
      const entry = { linkIndex, mac: REMOTE.mac, remote: REMOTE.host };
      kernel.apply([
        { kind: 'setNeighbour', linkIndex, ip: REMOTE.ip, mac: REMOTE.mac },
        { kind: 'setForwarding', ...entry },
        { kind: 'deleteNeighbour', linkIndex, ip: REMOTE.ip },
        { kind: 'deleteForwarding', ...entry },
      ]);
      await done.promise;
      stop.abort();
      const order = ['+neighbour', '+forwarding', '-neighbour', '-forwarding'];
      assert.deepEqual([...new Set(told)], order);
      assert.deepEqual(others, []);
    },
  );
}
