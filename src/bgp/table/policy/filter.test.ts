// Every condition and every operation of a BGPFilter, on what a peer tells and on what it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../base/json.ts';
import { parseBgpFilter } from '../../../model/bgp-filter.ts';
import type { Asn } from '../../../net/asn.ts';
import { cidr } from '../../../net/cidr.ts';
import type { PathAttributes } from '../../codec/attributes.ts';
import { tableOfNeighbours } from '../neighbour.cases.ts';
import { localPrefOf } from './conditions.ts';

const filterOf = (spec: object) => {
  const parsed = parseBgpFilter('f', spec as Json);
  assert(parsed.ok, parsed.ok ? '' : parsed.error);
  return parsed.value;
};
const sequence = (...asns: number[]): PathAttributes['asPath'] => [
  { kind: 'sequence', asns: asns as Asn[] },
];
const EXTERNAL = { asn: 65001 as Asn, reflectorClient: false, clusterId: undefined };
const TOLD = '192.168.1.0/24';

interface Said {
  readonly attributes?: Partial<PathAttributes>;
  readonly external?: boolean;
  readonly prefix?: string;
}

/** Whether a rule with this condition rejects what a peer says. */
function rejects(match: object, { attributes = {}, external = false, prefix = TOLD }: Said) {
  const filters = [filterOf({ importV4: [{ ...match, action: 'Reject' }] })];
  const table = tableOfNeighbours();
  table.interfaces.set('10.0.0.1', 'eth0');
  table.up('1', {}, { filters, ...(external ? EXTERNAL : {}) });
  const asPath = external ? sequence(65001, 65002) : [];
  table.tell('1', { asPath, ...(external ? {} : { localPref: 100 }), ...attributes }, prefix);
  return table.learned() === '';
}

const within = (cidr: string, matchOperator: string, prefixLength?: object) => ({
  ...{ cidr, matchOperator },
  ...(prefixLength ? { prefixLength } : {}),
});
const CONDITIONS: readonly [match: object, holds: Said, fails: Said][] = [
  [within(TOLD, 'Equal'), {}, { prefix: '192.168.1.0/25' }],
  [within(TOLD, 'NotEqual'), { prefix: '192.168.1.0/25' }, {}],
  [within('192.168.0.0/16', 'In'), {}, { prefix: '172.16.0.0/12' }],
  [within('192.168.0.0/16', 'NotIn'), { prefix: '172.16.0.0/12' }, {}],
  [within('192.168.0.0/16', 'In', { min: 24 }), {}, { prefix: '192.168.0.0/20' }],
  [within('192.168.0.0/16', 'In', { max: 24 }), {}, { prefix: '192.168.1.0/26' }],
  [{ peerType: 'eBGP' }, { external: true }, {}],
  [{ peerType: 'iBGP' }, {}, { external: true }],
  [{ communities: { values: ['64512:7'] } }, { attributes: { communities: [0xfc000007] } }, {}],
  [
    { communities: { values: ['64512:0:7'] } },
    { attributes: { largeCommunities: [[64512, 0, 7]] } },
    { attributes: { largeCommunities: [[64512, 0, 8]] } },
  ],
  [{ asPathPrefix: [65001, 65002] }, { external: true }, {}],
  [
    { asPathPrefix: [65001] },
    { external: true },
    { attributes: { asPath: sequence(65002, 65001) } },
  ],
  [{ priority: 512 }, { attributes: { localPref: localPrefOf(512) } }, {}],
  [{ priority: 1024 }, {}, { attributes: { localPref: localPrefOf(512) } }],
  [
    { priority: 1024 },
    { attributes: { localPref: localPrefOf(1024) } },
    { attributes: { localPref: localPrefOf(1025) } },
  ],
  // All of them together: one that fails is enough.
  [
    { ...within('192.168.0.0/16', 'In'), peerType: 'eBGP', asPathPrefix: [65001], priority: 1024 },
    { external: true },
    { external: true, prefix: '172.16.0.0/12' },
  ],
];

for (const [match, holds, fails] of CONDITIONS)
  test(`BGPFilter: ${JSON.stringify(match)}`, () => {
    assert.equal(rejects(match, holds), true, 'it holds');
    assert.equal(rejects(match, fails), false, 'it does not hold');
  });

test('BGPFilter: interface: that of the way to the next hop, also when it becomes another', () => {
  const filters = [filterOf({ importV4: [{ interface: 'vxlan.*', action: 'Reject' }] })];
  const table = tableOfNeighbours();
  table.interfaces.set('10.0.0.1', 'vxlan.calico');
  table.up('1', {}, { filters });
  table.say('1', TOLD);
  table.up('2');
  assert.equal(table.learned(), '');
  table.interfaces.set('10.0.0.1', 'eth0');
  table.table.waysChanged();
  table.work();
  assert.equal(table.learned(), TOLD);
  table.interfaces.delete('10.0.0.1');
  table.table.waysChanged();
  table.work();
  assert.equal(table.learned(), TOLD, 'reached over none: the condition does not hold');
});

test('BGPFilter: interface and source on export: own prefixes have neither', () => {
  for (const condition of [{ interface: 'eth0' }, { source: 'RemotePeers' }]) {
    const filters = [filterOf({ exportV4: [{ ...condition, action: 'Reject' }] })];
    const table = tableOfNeighbours();
    table.interfaces.set('10.0.0.1', 'eth0');
    table.up('1');
    table.say('1', TOLD);
    const ear = table.up('2', {}, { filters });
    assert.deepEqual(ear.heard, ['192.168.99.0/26', 'end of RIB'], JSON.stringify(condition));
    table.interfaces.set('10.0.0.1', 'eth1');
    table.table.waysChanged();
    table.work();
    assert.equal(ear.heard.includes(TOLD), 'interface' in condition);
  }
});

test('BGPFilter: the normal priority is what BGPConfiguration says', () => {
  const filters = [filterOf({ importV4: [{ priority: 2000, action: 'Reject' }] })];
  const table = tableOfNeighbours();
  table.up('1', {}, { filters });
  table.say('1', TOLD);
  assert.equal(table.learned(), TOLD);
  table.table.setNormalPriorities({ 4: 2000, 6: 1024 });
  table.work();
  assert.equal(table.learned(), '');
});

/** What another node hears of a prefix that passed these operations. */
function operated(operations: readonly object[], where: 'importV4' | 'exportV4'): string {
  const filters = [filterOf({ [where]: [{ action: 'Accept', operations }] })];
  const table = tableOfNeighbours();
  table.up('1', {}, where === 'importV4' ? { filters } : {});
  table.tell('1', { localPref: 100, communities: [0xfc000001] }, TOLD);
  const ear = table.up('2', {}, where === 'exportV4' ? { filters } : {});
  return ear.routes.get(`${cidr(TOLD)} 0`) ?? '';
}

/** Octets of an attribute as they stand in what is heard. */
const octets = (...bytes: number[]): RegExp => new RegExp(`[ ,]${bytes.join()}(,|$)`);

const OPERATIONS: readonly [operation: object, ...heard: RegExp[]][] = [
  [{ addCommunity: { value: '64512:100' } }, octets(192, 8, 8, 252, 0, 0, 1, 252, 0, 0, 100)],
  [
    { addCommunity: { value: '64512:0:5' } },
    octets(192, 32, 12, 0, 0, 252, 0, 0, 0, 0, 0, 0, 0, 0, 5),
  ],
  [
    { prependASPath: { prefix: [65010, 65011] } },
    octets(64, 2, 10, 2, 2, 0, 0, 253, 242, 0, 0, 253, 243),
  ],
  [{ setPriority: { value: 512 } }, octets(64, 5, 4, 127, 255, 253, 255)],
];
for (const [operation, ...heard] of OPERATIONS)
  for (const where of ['importV4', 'exportV4'] as const)
    test(`BGPFilter: ${where}: ${JSON.stringify(operation)}`, () => {
      const words = operated([operation], where);
      for (const part of heard) assert.match(words, part);
    });

test('BGPFilter: operations happen in their order, and the first rule that matches is the last', () => {
  const words = operated(
    [
      { prependASPath: { prefix: [65010] } },
      { prependASPath: { prefix: [65011] } },
      { setPriority: { value: 9 } },
      { setPriority: { value: 10 } },
    ],
    'importV4',
  );
  assert.match(words, octets(2, 2, 0, 0, 253, 243, 0, 0, 253, 242));
  assert.match(words, octets(64, 5, 4, 127, 255, 255, 245));
  const first = filterOf({ importV4: [{ action: 'Accept' }, { action: 'Reject' }] });
  const second = filterOf({ importV4: [{ action: 'Reject' }] });
  const table = tableOfNeighbours();
  table.up('1', {}, { filters: [first, second] });
  table.say('1', TOLD);
  assert.equal(table.learned(), TOLD);
});

test('LOCAL_PREF: an elevated priority wins, a lower one loses to the usual; Calico’s normal is as good', () => {
  const table = tableOfNeighbours();
  for (const key of ['1', '2', '3', '4']) table.up(key);
  table.tell('1', { localPref: localPrefOf(2000) }, TOLD);
  table.tell('2', { localPref: 100 }, TOLD);
  assert.deepEqual(table.hops(TOLD), ['10.0.0.2']);
  table.tell('3', { localPref: localPrefOf(1024) }, TOLD);
  assert.deepEqual(table.hops(TOLD), ['10.0.0.2', '10.0.0.3']);
  table.tell('4', { localPref: localPrefOf(512) }, TOLD);
  assert.deepEqual(table.hops(TOLD), ['10.0.0.4']);
});
