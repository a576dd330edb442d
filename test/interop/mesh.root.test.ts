// Three nodes with the real speaker program and a real etcd: the node-to-node mesh as a cluster has it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { affinityKey, resourceKey } from '../../src/model/keys.ts';
import { cidr } from '../../src/net/cidr.ts';
import { eventually, run } from '../lab/command.ts';
import { address, block, ManyHosts, resource, tableOf } from './many-hosts.ts';

const CLI = join(import.meta.dirname, '../../src/cli/main.ts');
const NODES = [1, 2, 3] as const;
const hosts = new ManyHosts(NODES);
const readiness = (n: number): string => hosts.ask(n, '/readiness');
const routes = (n: number): string => hosts.routes(n);
const others = (n: number): readonly number[] => hosts.others(n);
const put = (key: string, value: string): string => hosts.put(key, value);
const remove = (key: string): string => hosts.remove(key);

describe('a mesh of three nodes', { timeout: 180_000 }, () => {
  before(async () => {
    await hosts.open();
    for (const n of NODES) hosts.startSpeaker(n);
  });
  after(() => hosts.close());

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
      hosts.putNode(n);
      put(affinityKey(`n${n}`, cidr(block(n))), '{"state":"confirmed"}');
    }
    await hosts.converged(...NODES);
    await eventually('all are ready', () => NODES.every((n) => readiness(n) === 'ready'));
  });

  test('a killed speaker: nobody loses a route while it comes back (RFC 4724)', async () => {
    await hosts.end('speaker2');
    await eventually('the others have noticed', () =>
      readiness(1).includes(`BGP not established with ${address(2)}`),
    );
    assert.equal(routes(1), tableOf(1, [2, 3]), 'the others keep its block');
    assert.equal(routes(2), tableOf(2, [1, 3]), 'its own kernel keeps what it has');
    hosts.startSpeaker(2);
    await eventually('it is back', () => readiness(1) === 'ready', 15_000);
    await hosts.converged(...NODES);
  });

  test('what went while a speaker was away is swept when all peers have told', async () => {
    await hosts.end('speaker1', 'SIGTERM');
    remove(affinityKey('n3', cidr(block(3))));
    await eventually('gone elsewhere', () => routes(2) === tableOf(2, [1]));
    assert.equal(routes(1), tableOf(1, [2, 3]));
    hosts.startSpeaker(1);
    await eventually('swept', () => routes(1) === tableOf(1, [2]), 20_000);
    put(affinityKey('n3', cidr(block(3))), '{"state":"confirmed"}');
    await hosts.converged(...NODES);
  });

  test('a node cut off: its routes go when the hold time is over, and come back', async () => {
    run(['ip', '-n', hosts.bridge, 'link', 'set', 'port3', 'down']);
    await eventually('gone', () => [1, 2].every((n) => !routes(n).includes(block(3))), 8000);
    await eventually('readiness names it', () =>
      readiness(1).includes(`BGP not established with ${address(3)}`),
    );
    run(['ip', '-n', hosts.bridge, 'link', 'set', 'port3', 'up']);
    await hosts.converged(...NODES);
  });

  test('a borrowed address: the others reach it where it lives, as it comes, moves and goes', async () => {
    const pool = { cidr: '192.168.0.0/16', ipipMode: 'Never' };
    put(resourceKey('ippools', 'pool'), resource('IPPool', 'pool', pool));
    const borrowed = '192.168.2.9';
    hosts.putPod(1, 'plain', '192.168.1.7');
    hosts.putPod(1, 'borrower', borrowed);
    hosts.moveAddress(borrowed, undefined, 1);
    const toOne = `${borrowed} via ${address(1)} dev eth0`;
    await eventually('learned', () => [2, 3].every((n) => routes(n).includes(toOne)));
    for (const n of [2, 3]) {
      assert.equal(
        routes(n),
        `${toOne}\n${tableOf(n, others(n))}`.split('\n').toSorted().join('\n'),
      );
      hosts.inside(n, 'ping', '-c', '1', '-W', '2', borrowed);
    }
    assert.equal(routes(1), tableOf(1, others(1)));

    hosts.removePod(1, 'borrower');
    hosts.putPod(3, 'borrower', borrowed);
    hosts.moveAddress(borrowed, 1, 3);
    const toThree = `${borrowed} via ${address(3)} dev eth0`;
    const moved = (): boolean => [1, 2].every((n) => routes(n).includes(toThree));
    await eventually('moved', () => moved() && routes(3) === tableOf(3, others(3)));
    for (const n of [1, 2]) hosts.inside(n, 'ping', '-c', '1', '-W', '2', borrowed);

    hosts.removePod(3, 'borrower');
    hosts.moveAddress(borrowed, 3, undefined);
    await hosts.converged(...NODES);
  });

  test("calico-kit node status and bgp peers say it in calicoctl's words", async () => {
    await hosts.converged(...NODES);
    const kit = (...argv: string[]): string => hosts.inside(2, process.execPath, CLI, ...argv);
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
    await hosts.converged(...NODES);
    const kit = (...argv: string[]): string => hosts.inside(2, process.execPath, CLI, ...argv);
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
    hosts.putNode(3);
    await hosts.converged(...NODES);
  });

  test('mesh off: no learned routes; on again: all back', async () => {
    const key = resourceKey('bgpconfigurations', 'default');
    const mesh = (nodeToNodeMeshEnabled: boolean): string =>
      put(key, resource('BGPConfiguration', 'default', { nodeToNodeMeshEnabled }));
    mesh(false);
    await eventually('own blocks only', () => NODES.every((n) => routes(n) === tableOf(n, [])));
    mesh(true);
    await hosts.converged(...NODES);
  });

  test('a new AS number moves all sessions; a damaged object is skipped', async () => {
    put(resourceKey('nodes', 'broken'), '{"kind":"Node"');
    put(
      resourceKey('bgpconfigurations', 'default'),
      resource('BGPConfiguration', 'default', { asNumber: 4200000001 }),
    );
    const asns = () => {
      const argv = ['curl', '-sS', 'http://127.0.0.1:9098/status'];
      return NODES.map((n) => hosts.inside(n, ...argv));
    };
    const moved = (status: string): boolean =>
      status.split('"asn":4200000001').length === 3 && status.split('established').length === 3;
    await eventually('moved', () => asns().every(moved), 20_000);
    await hosts.converged(...NODES);
  });

  test('etcd away: sessions and routes stay, and routes are still mended', async () => {
    await hosts.end('etcd');
    for (const n of NODES) assert.equal(routes(n), tableOf(n, others(n)));
    for (const o of others(1)) run(['ip', '-n', hosts.netns(1), 'route', 'del', block(o)]);
    await hosts.converged(...NODES);
    assert.equal(readiness(1), 'ready');
  });
});
