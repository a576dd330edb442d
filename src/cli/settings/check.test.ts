// `calico-kit settings check`: what is refused before an upgrade, and the words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignOne, emptyBlock } from '../../ipam/block.ts';
import { printIpam } from '../../model/ipam.ts';
import { blockKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { refusedPools } from '../../model/settings/pool-changes.ts';
import { cidr } from '../../net/cidr.ts';
import { readWorld } from '../ipam/world.ts';
import { checkPools, notAsked, poolsOfSettings, presentEnvironment } from './check.ts';

const pool = (name: string, spec: object) => ({
  key: resourceKey('ippools', name),
  value: printResource({ kind: 'IPPool', apiVersion: API_VERSION, metadata: { name }, spec }),
  revision: 1n,
});

function world() {
  const of = { cidr: cidr('192.168.4.0/26'), owner: 'host:n1' };
  const empty = emptyBlock({ ...of, claimedAt: 't', sequenceNumber: 1n });
  const { block } = assignOne(empty, { handle_id: 'k8s-pod-network.a' });
  const stored = printIpam(block);
  return readWorld(
    [
      pool('default-ipv4-ippool', { cidr: '192.168.0.0/16', blockSize: 26 }),
      pool('edge', { cidr: '10.20.0.0/16', blockSize: 28 }),
      pool('six', { cidr: 'fd00:10::/64' }),
      { key: blockKey(cidr('192.168.4.0/26')), value: stored, revision: 1n },
    ],
    new Date(),
  );
}

const check = (settings: object) =>
  checkPools(
    poolsOfSettings(
      JSON.stringify({ podSubnet: '192.168.0.0/16', blockSize: 26, pools: [], ...settings }),
    ),
    world(),
  );

test('another podSubnet is refused: what is there, how many use it, and the way out', () => {
  const { lines, failed } = check({ podSubnet: '10.244.0.0/16' });
  assert.equal(failed, true);
  assert.deepEqual(lines, [
    'networking.podSubnet: 10.244.0.0/16 is refused: pool default-ipv4-ippool has 192.168.0.0/16, ' +
      'and 1 of its addresses are in use',
    '    keep 192.168.0.0/16 here. To renumber: add 10.244.0.0/16 to networking.pools under another ' +
      'name, set networking.settings.ippool.disabled to true, upgrade, and recreate the pods',
    'Nothing has been changed: pods keep their addresses, and the release its values.',
  ]);
});

test('what is there already, in any spelling, and what is new, may be', () => {
  const pools = [
    { name: 'edge', cidr: '10.20.0.0/16', blockSize: 28 },
    { name: 'six', cidr: 'fd00:10:0::/64', blockSize: 122 },
    { name: 'new', cidr: '10.30.0.0/16' },
  ];
  assert.deepEqual(check({ pools }).lines, ['the pools fit']);
});

test('blocks of another size, and another prefix of a further pool', () => {
  const pools = [{ name: 'edge', cidr: '10.21.0.0/16', blockSize: 28 }];
  const { lines } = check({ blockSize: 28, pools });
  assert.match(lines[0]!, /^networking.podSubnet: 192.168.0.0\/16 with blocks of \/28 is refused/);
  assert.match(lines[2]!, /^networking.pools edge: 10.21.0.0\/16 with blocks of \/28 is refused:/);
  assert.match(
    lines[2]!,
    /pool edge has 10.20.0.0\/16 with blocks of \/28, and 0 of its addresses/,
  );
});

test('without its pool podSubnet may be anything', () => {
  assert.deepEqual(
    refusedPools({ podSubnet: '10.1.0.0/16', blockSize: 26, pools: [] }, [
      { name: 'own', cidr: '10.9.0.0/16' },
    ]),
    [],
  );
});

test('a datastore that cannot be asked holds nothing up', () => {
  const { failed, lines } = notAsked(new Error('no answer within 5000 ms'));
  assert.equal(failed, undefined);
  assert.match(lines[0]!, /^the datastore was not asked: no answer/);
  assert.throws(() => poolsOfSettings(undefined), /CALICO_SETTINGS_POOLS: empty/);
});

test('certificates are shown where the running release speaks TLS and has them', () => {
  const files = { ETCD_CA_CERT_FILE: '/ca', ETCD_CERT_FILE: '/crt', ETCD_KEY_FILE: '/key' };
  const of = (endpoint: string, isThere: boolean) =>
    Object.keys(presentEnvironment({ ETCD_ENDPOINTS: endpoint, ...files }, () => isThere));
  assert.equal(of('https://10.0.0.1:6666', true).length, 4);
  assert.deepEqual(of('https://10.0.0.1:6666', false), ['ETCD_ENDPOINTS']);
  assert.deepEqual(of('http://10.0.0.1:6666', true), ['ETCD_ENDPOINTS']);
});
