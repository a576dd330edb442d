// BFD for the mesh on real hosts: one is cut off from the switch, which no interface of the others
// tells; the hold time, 90 s, would.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import type { PeerReport } from '../../src/bgp/status.ts';
import { resourceKey } from '../../src/model/keys.ts';
import { toolPath } from '../cluster/tools.ts';
import { eventually, run } from './command.ts';
import type { LabHost } from './host.ts';
import { type Lab, openLab } from './lab.ts';

const BFD = 'transmit=150ms,receive=150ms,multiplier=3';

describe('BFD in a mesh of three hosts', { timeout: 180_000 }, () => {
  let lab: Lab;
  const peersOf = (host: LabHost): readonly PeerReport[] =>
    (JSON.parse(host.http(9098, '/status').output) as { peers: PeerReport[] }).peers;
  const allAreUp = (): boolean =>
    lab.hosts.every((host) => {
      const states = peersOf(host).map(({ state, bfd }) => `${state} ${bfd?.state}`);
      return states.length === 2 && states.every((state) => state === 'established up');
    });
  const routesVia = (host: LabHost, gone: LabHost): readonly string[] =>
    host
      .routes()
      .split('\n')
      .filter((line) => line.includes(`via ${gone.address} `));

  before(async () => {
    lab = await openLab(3);
    await Promise.all(lab.hosts.map((host) => host.startAgent()));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    for (const host of lab.hosts) await lab.addPod(host, `pod-${host.name}`);
    await putBgpConfiguration(lab, { 'calico-kit.io/bfd': BFD });
    await eventually('all sessions and their BFD are up', allAreUp, 30_000);
  });
  after(() => lab?.stop());

  test('the routes of a host whose link is cut are gone at once; the others stay; all comes back', async () => {
    const [here, other, lost] = [lab.host(0), lab.host(1), lab.host(2)];
    await eventually('all routes', () => [other, lost].every((h) => routesVia(here, h).length > 0));
    const withdrawals = [here, other].map((host) => withdrawalVia(host, lost));
    try {
      await Promise.all(withdrawals.map(({ listening }) => listening));
      const cut = performance.now();
      plug(lab, lost, false);
      for (const { done } of withdrawals) {
        const took = Math.round((await done) - cut);
        console.log(`# route gone ${took} ms after the link was cut (${BFD})`);
      }
      for (const host of [here, other]) assert.deepEqual(routesVia(host, lost), []);
      assert.ok(routesVia(here, other).length > 0, 'the routes of the others stay');
      const peer = peersOf(here).find(({ address }) => address === lost.address);
      assert.deepEqual([peer?.bfd?.state, peer?.bfd?.failures], ['down', 1]);
      assert.match(peer?.lastError ?? '', /BFD Down/);
      const flaps = peersOf(here).map((p) => [p.address, p.flaps]);
      assert.deepEqual(Object.fromEntries(flaps), { [other.address]: 0, [lost.address]: 1 });
    } finally {
      plug(lab, lost, true);
      for (const { close } of withdrawals) close();
    }
    await eventually('all comes back', allAreUp, 60_000);
    await eventually('its routes too', () => routesVia(here, lost).length > 0);
  });
});

/** Joins a host to the switch or parts it; its own interface stays up. */
function plug(lab: Lab, host: LabHost, joined: boolean): void {
  const how = joined ? ['master', 'br0'] : ['nomaster'];
  run(['ip', '-n', `${lab.prefix}-fab`, 'link', 'set', host.name, ...how]);
}

async function putBgpConfiguration(
  lab: Lab,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  const metadata = { name: 'default', annotations };
  const kinds = { kind: 'BGPConfiguration', apiVersion: 'projectcalico.org/v3' };
  const value = JSON.stringify({ ...kinds, metadata, spec: {} });
  const etcdctl = [await toolPath('etcdctl'), `--endpoints=${lab.etcdEndpoint}`];
  lab.host(0).exec([...etcdctl, 'put', resourceKey('bgpconfigurations', 'default'), value]);
}

/** The moment when the kernel's first route by way of that host is deleted, as the kernel tells it. */
function withdrawalVia(
  host: LabHost,
  gone: LabHost,
): {
  readonly listening: Promise<unknown>;
  readonly done: Promise<number>;
  readonly close: () => void;
} {
  const monitor = spawn('ip', ['-n', host.netns, 'monitor', 'route'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface(monitor.stdout);
  const probe = '203.0.113.1';
  const says = (wanted: RegExp): Promise<number> =>
    new Promise((resolve) => {
      lines.on('line', (line) => wanted.test(line) && resolve(performance.now()));
    });
  const done = says(new RegExp(`^Deleted .* via ${gone.address.replaceAll('.', '\\.')} `));
  const heard = says(new RegExp(`blackhole ${probe.replaceAll('.', '\\.')}`));
  // It listens once it tells of a route that is made meanwhile.
  const listening = once(monitor, 'spawn').then(async () => {
    const timer = setInterval(() => {
      for (const verb of ['replace', 'delete'])
        run(['ip', '-n', host.netns, 'route', verb, 'blackhole', probe]);
    }, 50);
    await heard.finally(() => clearInterval(timer));
  });
  return { listening, done, close: () => monitor.kill() };
}
