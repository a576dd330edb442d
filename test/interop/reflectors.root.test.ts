// From the mesh to route reflectors, all by our own speakers on a real etcd: labels, one BGPPeer by
// selector, then the mesh off. Traffic flows all the while.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { RouteReport } from '../../src/bgp/status.ts';
import { resourceKey } from '../../src/model/keys.ts';
import { eventually } from '../lab/command.ts';
import { address, block, ManyHosts, resource } from './many-hosts.ts';

const NODES = [1, 2, 3, 4] as const;
const CLIENTS = [3, 4] as const;
const LABELS = { reflector: '' };
/** An address that answers on the node, inside its block. */
const pod = (n: number): string => `192.168.${n}.5`;

const hosts = new ManyHosts(NODES);
const put = (plural: 'bgpconfigurations' | 'bgppeers', kind: string, name: string, spec: object) =>
  hosts.put(resourceKey(plural, name), resource(kind, name, spec));
const mesh = (nodeToNodeMeshEnabled: boolean) =>
  put('bgpconfigurations', 'BGPConfiguration', 'default', { nodeToNodeMeshEnabled });

interface Session {
  readonly name: string;
  readonly state: string;
  readonly since: string;
}
const sessions = (n: number): readonly Session[] =>
  (JSON.parse(hosts.ask(n, '/status')) as { peers: readonly Session[] }).peers;
/** Names of the established sessions. */
const upOf = (n: number): string =>
  sessions(n)
    .filter(({ state }) => state === 'established')
    .map(({ name }) => name)
    .join(' ');
const nameOf = (n: number): string => `Node_${address(n).replaceAll('.', '_')}`;
const sinceOf = (n: number, to: number): string | undefined =>
  sessions(n).find(({ name }) => name.endsWith(address(to).replaceAll('.', '_')))?.since;

const pings = new Set<ChildProcess>();

/** Packets from one node's pod to another's, 200 a second, until stopped. */
function traffic(from: number, to: number) {
  const argv = ['ping', '-i', '0.005', '-I', pod(from), pod(to)];
  const child = spawn('ip', ['netns', 'exec', hosts.netns(from), ...argv], { stdio: 'pipe' });
  pings.add(child);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return {
    async stop(): Promise<string> {
      child.kill('SIGINT');
      await once(child, 'close');
      pings.delete(child);
      return /\d+ packets transmitted, .*/.exec(said)?.[0] ?? said;
    },
  };
}

const routesOf = (n: number): readonly RouteReport[] =>
  hosts
    .ask(n, '/routes')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as RouteReport);

/** What goes from a node's kernel until stopped. */
function monitor(n: number) {
  const child = spawn('ip', ['-n', hosts.netns(n), 'monitor', 'route'], { stdio: 'pipe' });
  pings.add(child);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return {
    async stop(): Promise<readonly string[]> {
      child.kill('SIGINT');
      await once(child, 'close');
      pings.delete(child);
      return said.split('\n').filter((line) => line.startsWith('Deleted'));
    },
  };
}

describe('route reflectors by selector', { timeout: 180_000 }, () => {
  before(async () => {
    await hosts.open();
    const pool = resource('IPPool', 'pool', { cidr: '192.168.0.0/16', ipipMode: 'Never' });
    hosts.put(resourceKey('ippools', 'pool'), pool);
    for (const n of NODES) {
      hosts.startSpeaker(n);
      hosts.putNode(n, {}, n < 3 ? LABELS : {});
      hosts.putBlock(n);
      hosts.moveAddress(pod(n), undefined, n);
    }
    await hosts.converged(...NODES);
  });
  after(async () => {
    for (const child of pings) child.kill('SIGKILL');
    await hosts.close();
  });

  test('from the mesh to reflectors: no packet is lost and no session of use is reset', async () => {
    const flows = [traffic(3, 4), traffic(4, 1)];
    const before = CLIENTS.map((n) => [sinceOf(n, 1), sinceOf(n, 2)]);
    put('bgppeers', 'BGPPeer', 'reflectors', {
      nodeSelector: 'all()',
      peerSelector: 'has(reflector)',
    });
    for (const n of [1, 2]) hosts.putNode(n, { routeReflectorClusterID: '1.0.0.1' }, LABELS);
    await eventually('reflectors by their names', () =>
      CLIENTS.every((n) => upOf(n).includes(nameOf(1)) && upOf(n).includes(nameOf(2))),
    );
    mesh(false);
    const want = `${nameOf(1)} ${nameOf(2)}`;
    await eventually('reflectors alone', () => CLIENTS.every((n) => upOf(n) === want));
    await hosts.converged(...NODES);
    assert.deepEqual(
      CLIENTS.map((n) => [sinceOf(n, 1), sinceOf(n, 2)]),
      before,
    );
    for (const flow of flows) assert.match(await flow.stop(), / 0% packet loss/);
  });

  test('a client’s routes to the other client: by way of the reflectors, next hop unchanged', () => {
    assert(hosts.routes(3).includes(`${block(4)} via ${address(4)} dev eth0`));
    assert(!upOf(3).includes(nameOf(4)));
  });

  test('one reflector dies: the other one carries all; it comes back', async () => {
    const flow = traffic(3, 4);
    await hosts.end('speaker1');
    await eventually('noticed', () => CLIENTS.every((n) => upOf(n) === nameOf(2)));
    hosts.startSpeaker(1);
    await eventually('back', () => CLIENTS.every((n) => upOf(n).includes(nameOf(1))), 20_000);
    await hosts.converged(...NODES);
    assert.match(await flow.stop(), / 0% packet loss/);
  });

  test('all reflectors fall silent: what they reflected stays, as the last choice; they come back', async () => {
    const flow = traffic(3, 4);
    const monitors = CLIENTS.map((n) => monitor(n));
    const pathsTo = (n: number) =>
      routesOf(3).find(({ prefix }) => prefix === block(n))?.paths ?? [];
    try {
      for (const n of [1, 2]) hosts.signal(`speaker${n}`, 'SIGSTOP');
      await eventually('noticed', () => CLIENTS.every((n) => upOf(n) === ''));
      const last = () => pathsTo(4).filter(({ communities }) => communities.includes('llgr-stale'));
      await eventually('both are the last choice', () => last().length === 2);
      // The way to a reflector that it told itself went with it; what the other one told of it stays.
      assert.deepEqual(
        pathsTo(1).map(({ peer }) => peer),
        [nameOf(2)],
      );
    } finally {
      for (const n of [1, 2]) hosts.signal(`speaker${n}`, 'SIGCONT');
    }
    await eventually('back', () => CLIENTS.every((n) => upOf(n).includes(nameOf(2))), 20_000);
    const fresh = () => CLIENTS.every((n) => !hosts.ask(n, '/routes').includes('"stale":true'));
    await eventually('all is told anew', fresh, 20_000);
    await hosts.converged(...NODES);
    for (const one of monitors) assert.deepEqual(await one.stop(), []);
    assert.match(await flow.stop(), / 0% packet loss/);
  });

  test('all reflectors are rebooted: the clients keep the ways to each other', async () => {
    const flow = traffic(3, 4);
    const deleted = CLIENTS.map((n) => monitor(n));
    for (const n of [1, 2]) await hosts.end(`speaker${n}`);
    for (const n of [1, 2]) hosts.inside(n, 'ip', 'route', 'flush', 'proto', 'bird');
    await eventually('noticed', () => CLIENTS.every((n) => upOf(n) === ''));
    for (const n of [1, 2]) hosts.startSpeaker(n);
    await eventually('back', () => CLIENTS.every((n) => upOf(n).includes(nameOf(2))), 20_000);
    await hosts.converged(...NODES);
    const ways = (await Promise.all(deleted.map((one) => one.stop()))).flat();
    assert.deepEqual(
      ways.filter((line) => CLIENTS.some((n) => line.includes(block(n)))),
      [],
    );
    assert.match(await flow.stop(), / 0% packet loss/);
  });

  test('the only reflector is killed and starts again: no client loses a route for a moment', async () => {
    hosts.putNode(2, {});
    await eventually('one reflector', () => CLIENTS.every((n) => upOf(n) === nameOf(1)));
    await hosts.converged(...NODES);
    const monitors = CLIENTS.map((n) => monitor(n));
    for (let round = 0; round < 5; round++) {
      await hosts.end('speaker1');
      await eventually('noticed', () => CLIENTS.every((n) => upOf(n) === ''));
      hosts.startSpeaker(1);
      await eventually('back', () => CLIENTS.every((n) => upOf(n) === nameOf(1)), 20_000);
      await eventually('told', () =>
        CLIENTS.every((n) => routesOf(n).every(({ paths }) => paths.every(({ stale }) => !stale))),
      );
    }
    await hosts.converged(...NODES);
    for (const monitor of monitors) assert.deepEqual(await monitor.stop(), []);
  });

  test('back to the mesh', async () => {
    mesh(true);
    for (const n of [1, 2]) hosts.putNode(n, {}, LABELS);
    hosts.remove(resourceKey('bgppeers', 'reflectors'));
    await eventually(
      'every node has three sessions',
      () =>
        NODES.every(
          (n) =>
            upOf(n)
              .split(' ')
              .filter((s) => s.startsWith('Mesh')).length === 3,
        ),
      20_000,
    );
    await hosts.converged(...NODES);
  });
});
