// Three nodes, each a namespace with the real speaker program, on one bridge with a real etcd: the
// node-to-node mesh as a cluster has it.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { affinityKey, namespacedKey, resourceKey } from '../../src/model/keys.ts';
import { workloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { cidr } from '../../src/net/cidr.ts';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually, run } from '../lab/command.ts';

const PREFIX = `ckt-bgp-${process.pid}-m`;
const SWITCH = `${PREFIX}s`;
const ETCD = 'http://10.79.0.254:2379';
const CLI = join(import.meta.dirname, '../../src/cli/main.ts');
const SPEAKER = join(import.meta.dirname, '../../src/speaker/main.ts');
const NODES = [1, 2, 3] as const;
const netns = (n: number): string => `${PREFIX}${n}`;
const address = (n: number): string => `10.79.0.${10 + n}`;
const block = (n: number): string => `192.168.${n}.0/26`;
const inside = (name: string, ...argv: string[]): string =>
  run(['ip', 'netns', 'exec', name, ...argv]);

const children = new Map<string, ChildProcess>();
const directory = mkdtempSync(join(tmpdir(), 'ckt-bgp-'));
let etcdctl: string;

function start(name: string, where: string, argv: readonly string[], env: object = {}): void {
  const quiet = process.env['CKT_VERBOSE'] ? 'inherit' : 'ignore';
  const child = spawn('ip', ['netns', 'exec', where, ...argv], {
    stdio: quiet,
    env: { ...process.env, ...env },
  });
  children.set(name, child);
}

async function end(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const child = children.get(name);
  children.delete(name);
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

const startSpeaker = (n: number): void =>
  start(`speaker${n}`, netns(n), [process.execPath, SPEAKER], {
    ETCD_ENDPOINTS: ETCD,
    NODENAME: `n${n}`,
    LOG_LEVEL: 'info',
    BGP_HOLD_TIME_SECONDS: '3',
  });

const put = (key: string, value: string): string =>
  inside(SWITCH, etcdctl, '--endpoints', ETCD, 'put', key, value);
const remove = (key: string): string => inside(SWITCH, etcdctl, '--endpoints', ETCD, 'del', key);
const resource = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name }, spec });
const putNode = (n: number): string =>
  put(
    resourceKey('nodes', `n${n}`),
    resource('Node', `n${n}`, { bgp: { ipv4Address: `${address(n)}/24` } }),
  );

const podKey = (n: number, workload: string): string => {
  const id = { node: `n${n}`, orchestrator: 'k8s', workload, endpoint: 'eth0' };
  return namespacedKey('workloadendpoints', 'default', workloadEndpointName(id));
};
const putPod = (n: number, name: string, ip: string): string => {
  const spec = { node: `n${n}`, endpoint: 'eth0', ipNetworks: [`${ip}/32`] };
  return put(podKey(n, name), resource('WorkloadEndpoint', name, spec));
};
const removePod = (n: number, name: string): string => remove(podKey(n, name));
/** The address answers on that node, as a pod's would. */
function moveAddress(ip: string, from: number | undefined, to: number | undefined): void {
  if (from) run(['ip', '-n', netns(from), 'addr', 'del', `${ip}/32`, 'dev', 'lo']);
  if (to) run(['ip', '-n', netns(to), 'addr', 'add', `${ip}/32`, 'dev', 'lo']);
}

const readiness = (n: number): string =>
  attempt([
    'ip',
    'netns',
    'exec',
    netns(n),
    'curl',
    '-sS',
    'http://127.0.0.1:9098/readiness',
  ]).output.trim();
const routes = (n: number): string =>
  run(['ip', '-n', netns(n), 'route', 'show', 'proto', 'bird'])
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .toSorted()
    .join('\n');
/** The routes of a node that sees these others. */
const tableOf = (n: number, others: readonly number[]): string =>
  [...others.map((o) => `${block(o)} via ${address(o)} dev eth0`), `blackhole ${block(n)}`]
    .toSorted()
    .join('\n');
const others = (n: number): number[] => NODES.filter((o) => o !== n);
const converged = (...nodes: readonly number[]): Promise<unknown> =>
  eventually(
    'every node has the routes of all others',
    () => nodes.every((n) => routes(n) === tableOf(n, others(n))),
    20_000,
  );

function makeNetwork(): void {
  for (const name of [SWITCH, ...NODES.map(netns)]) {
    run(['ip', 'netns', 'add', name]);
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
  }
  run(['ip', '-n', SWITCH, 'link', 'add', 'br0', 'type', 'bridge']);
  run(['ip', '-n', SWITCH, 'addr', 'add', '10.79.0.254/24', 'dev', 'br0']);
  run(['ip', '-n', SWITCH, 'link', 'set', 'br0', 'up']);
  for (const n of NODES) {
    const port = ['peer', 'name', `port${n}`, 'netns', SWITCH];
    run(['ip', '-n', netns(n), 'link', 'add', 'eth0', 'type', 'veth', ...port]);
    run(['ip', '-n', netns(n), 'addr', 'add', `${address(n)}/24`, 'dev', 'eth0']);
    run(['ip', '-n', netns(n), 'link', 'set', 'eth0', 'up']);
    run(['ip', '-n', SWITCH, 'link', 'set', `port${n}`, 'master', 'br0', 'up']);
  }
}

describe('a mesh of three nodes', { timeout: 180_000 }, () => {
  before(async () => {
    const etcd = await toolPath('etcd');
    etcdctl = await toolPath('etcdctl');
    makeNetwork();
    const urls = ['--listen-client-urls', ETCD, '--advertise-client-urls', ETCD];
    const peers = ['--listen-peer-urls', 'http://127.0.0.1:2380', '--unsafe-no-fsync'];
    const data = ['--data-dir', join(directory, 'etcd'), '--log-level', 'error'];
    start('etcd', SWITCH, [etcd, ...urls, ...peers, ...data]);
    await eventually('etcd answers', () => put('/x', ''), 20_000);
    for (const n of NODES) startSpeaker(n);
  });
  after(async () => {
    for (const name of [...children.keys()]) await end(name);
    for (const name of [SWITCH, ...NODES.map(netns)]) attempt(['ip', 'netns', 'del', name]);
    rmSync(directory, { recursive: true, force: true });
  });

  test('before the own Node is there: not ready, and it says why', async () => {
    await eventually(
      'readiness names the Node',
      () => readiness(1).endsWith('waiting for Node n1 in the datastore'),
      15_000,
    );
    assert.equal(routes(1), '');
  });

  test('nodes and blocks appear: every node has a route to every block, and is ready', async () => {
    for (const n of NODES) {
      putNode(n);
      put(affinityKey(`n${n}`, cidr(block(n))), '{"state":"confirmed"}');
    }
    await converged(...NODES);
    await eventually('all are ready', () => NODES.every((n) => readiness(n) === 'ready'));
  });

  test('a killed speaker: the others lose its block at once and get it back; it loses none', async () => {
    await end('speaker2');
    await eventually('withdrawn', () => routes(1) === tableOf(1, [3]), 2000);
    assert.equal(routes(2), tableOf(2, [1, 3]), 'its own kernel keeps what it has');
    startSpeaker(2);
    await converged(...NODES);
  });

  test('what went while a speaker was away is swept when all peers have told', async () => {
    await end('speaker1', 'SIGTERM');
    remove(affinityKey('n3', cidr(block(3))));
    await eventually('gone elsewhere', () => routes(2) === tableOf(2, []));
    assert.equal(routes(1), tableOf(1, [2, 3]));
    startSpeaker(1);
    await eventually('swept', () => routes(1) === tableOf(1, [2]), 20_000);
    put(affinityKey('n3', cidr(block(3))), '{"state":"confirmed"}');
    await converged(...NODES);
  });

  test('a node cut off: its routes go when the hold time is over, and come back', async () => {
    run(['ip', '-n', SWITCH, 'link', 'set', 'port3', 'down']);
    await eventually('gone', () => [1, 2].every((n) => !routes(n).includes(block(3))), 8000);
    await eventually('readiness names it', () =>
      readiness(1).includes(`BGP not established with ${address(3)}`),
    );
    run(['ip', '-n', SWITCH, 'link', 'set', 'port3', 'up']);
    await converged(...NODES);
  });

  test('a borrowed address: the others reach it where it lives, as it comes, moves and goes', async () => {
    const pool = { cidr: '192.168.0.0/16', ipipMode: 'Never' };
    put(resourceKey('ippools', 'pool'), resource('IPPool', 'pool', pool));
    const borrowed = '192.168.2.9';
    putPod(1, 'plain', '192.168.1.7');
    putPod(1, 'borrower', borrowed);
    moveAddress(borrowed, undefined, 1);
    const toOne = `${borrowed} via ${address(1)} dev eth0`;
    await eventually('learned', () => [2, 3].every((n) => routes(n).includes(toOne)));
    for (const n of [2, 3]) {
      assert.equal(
        routes(n),
        `${toOne}\n${tableOf(n, others(n))}`.split('\n').toSorted().join('\n'),
      );
      inside(netns(n), 'ping', '-c', '1', '-W', '2', borrowed);
    }
    assert.equal(routes(1), tableOf(1, others(1)));

    removePod(1, 'borrower');
    putPod(3, 'borrower', borrowed);
    moveAddress(borrowed, 1, 3);
    const toThree = `${borrowed} via ${address(3)} dev eth0`;
    const moved = (): boolean => [1, 2].every((n) => routes(n).includes(toThree));
    await eventually('moved', () => moved() && routes(3) === tableOf(3, others(3)));
    for (const n of [1, 2]) inside(netns(n), 'ping', '-c', '1', '-W', '2', borrowed);

    removePod(3, 'borrower');
    moveAddress(borrowed, 3, undefined);
    await converged(...NODES);
  });

  test("calico-kit node status and bgp peers say it in calicoctl's words", async () => {
    await converged(...NODES);
    const kit = (...argv: string[]): string => inside(netns(2), process.execPath, CLI, ...argv);
    const status = kit('node', 'status');
    assert.match(status, /^Calico process is running\.\n\nIPv4 BGP status\n\+-/);
    for (const o of others(2))
      assert.match(
        status,
        new RegExp(
          `\\| ${address(o)} +\\| node-to-node mesh \\| up +\\| [0-9:]+ +\\| Established \\|`,
        ),
      );
    assert.match(status, /No IPv6 peers found\.\n$/);
    const peers = JSON.parse(kit('bgp', 'peers', '-o', 'json')) as Record<string, unknown>[];
    assert.deepEqual(
      peers.map(({ name, state, prefixesIn, prefixesOut }) => [
        name,
        state,
        prefixesIn,
        prefixesOut,
      ]),
      others(2).map((o) => [`Mesh_${address(o).replaceAll('.', '_')}`, 'established', 1, 1]),
    );
  });

  test('calico-kit bgp routes says where a prefix comes from, and why', async () => {
    await converged(...NODES);
    const kit = (...argv: string[]): string => inside(netns(2), process.execPath, CLI, ...argv);
    const table = kit('bgp', 'routes');
    assert.match(table, /\| 192\.168\.1\.0\/26 +\| 10\.79\.0\.11 +\| Mesh_10_79_0_11 +\|/);
    assert.match(table, /\| 192\.168\.2\.0\/26 +\| +\| this node +\|/);
    assert.equal(
      kit('bgp', 'routes', '--why', block(3)),
      `192.168.3.0/26: 1 path
* via 10.79.0.13 from Mesh_10_79_0_13
    of this AS, local preference 100, origin igp
    best
`,
    );
    assert.throws(() => kit('bgp', 'routes', '--why', 'x'), /'x' is no prefix; give e\.g\./);
  });

  test('a node that leaves the datastore leaves the mesh', async () => {
    remove(resourceKey('nodes', 'n3'));
    await eventually('gone', () => routes(1) === tableOf(1, [2]) && readiness(1) === 'ready');
    putNode(3);
    await converged(...NODES);
  });

  test('mesh off: no learned routes; on again: all back', async () => {
    const key = resourceKey('bgpconfigurations', 'default');
    const mesh = (nodeToNodeMeshEnabled: boolean): string =>
      put(key, resource('BGPConfiguration', 'default', { nodeToNodeMeshEnabled }));
    mesh(false);
    await eventually('own blocks only', () => NODES.every((n) => routes(n) === tableOf(n, [])));
    mesh(true);
    await converged(...NODES);
  });

  test('a new AS number moves all sessions; a damaged object is skipped', async () => {
    put(resourceKey('nodes', 'broken'), '{"kind":"Node"');
    put(
      resourceKey('bgpconfigurations', 'default'),
      resource('BGPConfiguration', 'default', { asNumber: 4200000001 }),
    );
    const asns = () => {
      const argv = ['curl', '-sS', 'http://127.0.0.1:9098/status'];
      return NODES.map((n) => inside(netns(n), ...argv));
    };
    const moved = (status: string): boolean =>
      status.split('"asn":4200000001').length === 3 && status.split('established').length === 3;
    await eventually('moved', () => asns().every(moved), 20_000);
    await converged(...NODES);
  });

  test('etcd away: sessions and routes stay, and routes are still mended', async () => {
    await end('etcd');
    for (const n of NODES) assert.equal(routes(n), tableOf(n, others(n)));
    for (const o of others(1)) run(['ip', '-n', netns(1), 'route', 'del', block(o)]);
    await converged(...NODES);
    assert.equal(readiness(1), 'ready');
  });
});
