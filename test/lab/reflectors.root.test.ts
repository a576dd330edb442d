// From the mesh to automatic route reflectors and back, under traffic: four hosts with the real agent
// and speaker, a real etcd, and the controller.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { PeerReport } from '../../src/bgp/status.ts';
import { eventually } from './command.ts';
import { ended, type Lab, type LabPod, openLab } from './lab.ts';

const CONTROLLER = join(import.meta.dirname, 'reflectors-child.ts');
const SETTLE_MILLISECONDS = 2000;

describe('automatic route reflectors', { timeout: 240_000 }, () => {
  let lab: Lab;
  let pods: readonly LabPod[];
  let controller: ChildProcess | undefined;
  const peers = (index: number): readonly PeerReport[] =>
    (JSON.parse(lab.host(index).http(9098, '/status').output) as { peers: PeerReport[] }).peers;

  const startController = async (perZone: number): Promise<void> => {
    if (controller) await ended(controller, 'SIGTERM');
    const names = lab.hosts.map(({ name }) => name);
    const argv = [lab.etcdEndpoint, String(perZone), String(SETTLE_MILLISECONDS), ...names];
    const inside = ['netns', 'exec', lab.host(0).netns, process.execPath, CONTROLLER];
    controller = spawn('ip', [...inside, ...argv], { stdio: ['ignore', 'ignore', 'inherit'] });
  };

  before(async () => {
    lab = await openLab(4);
    await Promise.all(lab.hosts.map((host) => host.startAgent({ CALICO_K8S_NODE_REF: host.name })));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    pods = [];
    for (const host of lab.hosts) pods = [...pods, await lab.addPod(host, `pod-${host.name}`)];
    for (const a of pods)
      for (const b of pods.filter((other) => other !== a))
        await eventually(`${a.name} reaches ${b.name}`, () => lab.pings(a, b.ip), 30_000);
  });
  after(async () => {
    if (controller) await ended(controller, 'SIGTERM');
    await lab?.stop();
  });

  /** Pings between all pairs while something happens; answers what was lost, by pair. */
  async function underTraffic(work: () => Promise<unknown>): Promise<readonly string[]> {
    const pairs = pods.flatMap((a) => pods.filter((b) => b !== a).map((b) => [a, b] as const));
    const running = pairs.map(([a, b]) => {
      const ping = spawn('ip', ['netns', 'exec', a.netns, 'ping', '-i', '0.01', '-q', b.ip]);
      let output = '';
      ping.stdout.on('data', (text) => {
        output += text;
      });
      const closed = new Promise((resolve) => ping.once('close', resolve));
      return { ping, closed, name: `${a.name} -> ${b.name}`, output: () => output };
    });
    try {
      await work();
    } finally {
      for (const { ping } of running) ping.kill('SIGINT');
    }
    await Promise.all(running.map(({ closed }) => closed));
    return running.flatMap(({ name, output }) => {
      const [, sent, received] =
        /(\d+) packets transmitted, (\d+) received/.exec(output()) ?? assert.fail(output());
      return Number(sent) > 0 && sent === received ? [] : [`${name}: ${received} of ${sent}`];
    });
  }

  const sessionsOf = (): readonly number[] =>
    lab.hosts.map((_, i) => peers(i).filter(({ state }) => state === 'established').length);

  test('the mesh becomes one reflector and its three clients; no packet is lost', async () => {
    const lost = await underTraffic(async () => {
      await startController(1);
      await eventually(
        'one host has three sessions, the others one',
        () => sessionsOf().toSorted().join() === '1,1,1,3',
        60_000,
      );
    });
    assert.deepEqual(lost, []);
    const types = lab.hosts.flatMap((_, i) => peers(i).map(({ type, flaps }) => [type, flaps]));
    assert.ok(types.every(([type]) => type !== 'node-to-node mesh'));
    assert.ok(
      types.every(([, flaps]) => flaps === 0),
      'the sessions of the mesh went on',
    );
  });

  test('and back to the mesh; no packet is lost', async () => {
    const lost = await underTraffic(async () => {
      await startController(0);
      await eventually(
        'a full mesh',
        () =>
          sessionsOf().join() === '3,3,3,3' &&
          lab.hosts.every((_, i) => peers(i).every(({ type }) => type === 'node-to-node mesh')),
        60_000,
      );
    });
    assert.deepEqual(lost, []);
  });
});
