// What a peer may say and hear at all: the most prefixes (RFC 4486), policy of external peers (RFC 8212),
// whose next hop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../../net/asn.ts';
import { notificationText } from '../codec/notification.ts';
import { OWN_BLOCK, tableOfNeighbours } from './neighbour.cases.ts';

const [A, B, C] = ['192.168.1.0/26', '192.168.2.0/26', '192.168.3.0/26'];
const EXTERNAL = { asn: 65001 as Asn, reflectorClient: false, clusterId: undefined };
const path = { asPath: [{ kind: 'sequence' as const, asns: [65001 as Asn] }] };

test('one prefix too many ends the session; told twice or withdrawn, it does not count', () => {
  const { up, tell, table } = tableOfNeighbours();
  up('1', {}, { maxPrefixes: 2 });
  assert.equal(tell('1', {}, A, B).reset, undefined);
  assert.equal(tell('1', { med: 7 }, A, B).reset, undefined);
  const { reset } = tell('1', {}, C);
  assert.equal(reset && notificationText(reset), 'Cease: Maximum Number of Prefixes Reached (6/1)');
  assert.equal(table.countOf('1'), 3);
});

test('an external peer without a policy, where one is demanded: no routes in, none out', () => {
  const { up, tell, learned, table, work } = tableOfNeighbours();
  const ear = up('1', {}, { ...EXTERNAL, explicitPolicy: true });
  tell('1', path, A);
  assert.deepEqual([learned(), ear.heard], ['', ['end of RIB']]);
  const filter = { name: 'all', importV4: [], exportV4: [], importV6: [], exportV6: [] };
  const policy = { ...table.why(A as never)[0] };
  assert.deepEqual([policy.lost, policy.refusal], ['not accepted', 'no policy (RFC 8212)']);
  up('2', {}, { ...EXTERNAL, explicitPolicy: true, filters: [filter] });
  tell('2', path, B);
  work();
  assert.equal(learned(), B);
});

test('the next hop that an external peer hears: ours, unless it is to stay', () => {
  const { up, say } = tableOfNeighbours();
  up('1');
  say('1', A);
  const hopsTo = (nextHopMode: 'auto' | 'self' | 'keep', key: string) => {
    const ear = up(key, {}, { ...EXTERNAL, nextHopMode });
    return [...ear.routes.values()]
      .map((route) => route.split(' ').slice(0, 2).join(' '))
      .toSorted();
  };
  const ours = `${OWN_BLOCK} 10.0.0.100`;
  assert.deepEqual(hopsTo('auto', '2'), [`${A} 10.0.0.100`, ours]);
  assert.deepEqual(hopsTo('self', '3'), [`${A} 10.0.0.100`, ours]);
  assert.deepEqual(hopsTo('keep', '4'), [`${A} 10.0.0.1`, ours]);
});

test('inside the AS: the next hop stays, unless it is to be ours', () => {
  const { up, say } = tableOfNeighbours();
  up('1');
  say('1', A);
  const hopOf = (nextHopMode: 'auto' | 'self', key: string) =>
    [...up(key, {}, { nextHopMode }).routes.values()]
      .find((route) => route.startsWith(A))
      ?.split(' ')[1];
  assert.deepEqual([hopOf('auto', '2'), hopOf('self', '3')], ['10.0.0.1', '10.0.0.100']);
});
