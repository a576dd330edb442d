// What a node does before its member starts, step by step.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from '../../datastore/members.io.ts';
import { decide, type View } from './decide.ts';
import { type ClusterRecord, parseRecord, printRecord, withoutAddress } from './record.ts';

const ADDRESSES: Readonly<Record<string, string>> = {
  n1: '10.0.0.1',
  n2: '10.0.0.2',
  n3: '10.0.0.3',
  n4: '10.0.0.4',
};

const member = (node: string, more: Partial<Member> = {}): Member => ({
  id: BigInt(node.slice(1)),
  name: node,
  peerUrls: [`https://${ADDRESSES[node]}:6667`],
  clientUrls: [`https://${ADDRESSES[node]}:6666`],
  isLearner: false,
  ...more,
});

const record = (...nodes: string[]): ClusterRecord => ({
  epoch: '',
  founder: 'n1',
  founded: true,
  members: Object.fromEntries(nodes.map((node) => [node, ADDRESSES[node]!])),
});

const view = (node: string, more: Partial<View> = {}): View => ({
  node,
  address: ADDRESSES[node]!,
  peerUrl: `https://${ADDRESSES[node]}:6667`,
  membersMax: 3,
  restore: '',
  hasSnapshot: false,
  hasData: false,
  epoch: '',
  record: undefined,
  members: undefined,
  silentSeconds: 0,
  absentSeconds: () => 0,
  ...more,
});

const stepOf = (given: View): string => decide(given).do;
const begun = (): ClusterRecord => ({ ...record('n1'), founded: false });

test('the first node claims the datastore, begins it, says so, and starts', () => {
  const claim = decide(view('n1'));
  assert.deepEqual(claim.do === 'record' && claim.record, begun());
  assert.equal(stepOf(view('n1', { record: begun() })), 'found');
  const said = decide(view('n1', { record: begun(), hasData: true }));
  assert.deepEqual(said.do === 'record' && said.record, record('n1'));
  assert.equal(stepOf(view('n1', { record: record('n1'), hasData: true })), 'start');
});

test('data that was there before there was a record is the beginning', () => {
  const claim = decide(view('n1', { hasData: true }));
  assert.deepEqual(claim.do === 'record' && claim.record, begun());
});

test('a further node waits for the others, is recorded, and joins', () => {
  assert.equal(stepOf(view('n2', { record: record('n1') })), 'wait');
  const members = [member('n1')];
  const said = decide(view('n2', { record: record('n1'), members }));
  assert.deepEqual(said.do === 'record' && said.record, record('n1', 'n2'));
  assert.equal(stepOf(view('n2', { record: record('n1', 'n2'), members })), 'join');
});

test('one joins at a time', () => {
  const members = [member('n1'), member('n2', { isLearner: true })];
  const step = decide(view('n3', { record: record('n1', 'n2'), members }));
  assert.match(step.why, /another node that joins/);
});

test('a member that has not copied all goes on with that', () => {
  const members = [member('n1'), member('n2', { isLearner: true })];
  const given = { record: record('n1', 'n2'), hasData: true, members };
  assert.equal(stepOf(view('n2', given)), 'promote');
});

test('with data and a record a member starts, also where nobody answers', () => {
  const given = { record: record('n1', 'n2', 'n3'), hasData: true };
  assert.equal(stepOf(view('n2', given)), 'start');
  const members = ['n1', 'n2', 'n3'].map((node) => member(node));
  assert.equal(stepOf(view('n2', { ...given, members })), 'start');
});

test('the only member does not begin with nothing when its data is gone', () => {
  const step = decide(view('n1', { record: record('n1') }));
  assert.equal(step.do, 'refuse');
  assert.match(step.why, /kubectl -n kube-system delete configmap calico-etcd-members/);
});

test('a founder that lost its data joins the others', () => {
  const members = ['n1', 'n2', 'n3'].map((node) => member(node));
  const given = { record: record('n1', 'n2', 'n3'), members };
  const step = decide(view('n1', given));
  assert.equal(step.do === 'remove' && step.member.name, 'n1');
  const rest = members.slice(1);
  assert.equal(stepOf(view('n1', { ...given, members: rest })), 'join');
  // Not a datastore of its own while they are silent.
  assert.equal(stepOf(view('n1', { record: record('n1', 'n2', 'n3') })), 'wait');
});

test('a member that was removed sets its data aside', () => {
  const members = [member('n1'), member('n3'), member('n4')];
  const given = { record: record('n1', 'n3', 'n4'), hasData: true, members };
  assert.equal(stepOf(view('n2', given)), 'set-aside');
});

test('data of a datastore that others do not know is set aside', () => {
  const given = { record: record('n1'), hasData: true };
  assert.equal(stepOf(view('n2', { ...given, members: [member('n1')] })), 'set-aside');
  assert.equal(stepOf(view('n2', { ...given, silentSeconds: 5 })), 'wait');
});

test('more nodes than members: the rest are spares and say how to change that', () => {
  const members = ['n1', 'n2', 'n3'].map((node) => member(node));
  const step = decide(view('n4', { record: record('n1', 'n2', 'n3'), members }));
  assert.equal(step.do, 'wait');
  assert.match(step.why, /spare: etcd.members is 3, and 10.0.0.1, 10.0.0.2, 10.0.0.3 have them/);
  const one = { record: record('n1'), members: [member('n1')], membersMax: 1 };
  assert.match(decide(view('n2', one)).why, /spare: etcd.members is 1/);
});

test('a member whose node is gone makes place for a newcomer, after a while', () => {
  const members = ['n1', 'n2', 'n3'].map((node) => member(node));
  const absent = (seconds: number) => ({
    record: record('n1', 'n2', 'n3'),
    members,
    absentSeconds: (address: string) => (address === ADDRESSES['n2'] ? seconds : 0),
  });
  assert.equal(stepOf(view('n4', absent(29))), 'wait');
  const step = decide(view('n4', absent(30)));
  assert.equal(step.do === 'remove' && step.member.name, 'n2');
});

test('a member without TLS before gets its new peer address from who joins', () => {
  const former = member('n1', { name: 'calico', peerUrls: ['http://10.0.0.1:6667'] });
  const step = decide(view('n2', { record: record('n1'), members: [former] }));
  assert.equal(step.do === 'set-peer-url' && step.url, 'https://10.0.0.1:6667');
});

test('a node with another address tells it to record and members', () => {
  const given = { record: record('n1', 'n2', 'n3'), hasData: true, address: '10.0.0.9' };
  const peerUrl = 'https://10.0.0.9:6667';
  const members = ['n1', 'n2', 'n3'].map((node) => member(node));
  const first = decide(view('n2', { ...given, peerUrl, members }));
  assert.equal(first.do === 'set-peer-url' && first.url, peerUrl);
  const moved = [member('n1'), member('n2', { peerUrls: [peerUrl] }), member('n3')];
  const then = decide(view('n2', { ...given, peerUrl, members: moved }));
  assert.equal(then.do === 'record' && then.record.members['n2'], '10.0.0.9');
  // Nobody hears it: they must find it by its former address later.
  assert.equal(stepOf(view('n2', { ...given, peerUrl })), 'start');
});

test('beginning anew: the node with the snapshot first, once, and the others join it', () => {
  const restore = 'a.db';
  const all = record('n1', 'n2', 'n3');
  const before = { record: all, hasData: true, restore };
  assert.match(decide(view('n1', before)).why, /for the node that has snapshot a.db/);
  const claim = decide(view('n2', { ...before, hasSnapshot: true }));
  const anew = { epoch: 'a.db', founder: 'n2', founded: false, members: { n2: '10.0.0.2' } };
  assert.deepEqual(claim.do === 'record' && claim.record, anew);
  // The founder.
  const given = { record: anew, restore, hasSnapshot: true };
  assert.equal(stepOf(view('n2', { ...given, hasData: true })), 'set-aside');
  assert.equal(stepOf(view('n2', given)), 'restore');
  const founded = { ...anew, founded: true };
  const done = { ...given, record: founded, hasData: true, epoch: 'a.db' };
  assert.equal(stepOf(view('n2', done)), 'start');
  // Another, whether it has been told or not.
  for (const told of [restore, '']) {
    const other = { record: founded, restore: told };
    assert.equal(stepOf(view('n1', { ...other, hasData: true })), 'set-aside');
    assert.equal(stepOf(view('n1', { ...other, members: [member('n2')] })), 'record');
  }
});

test('the record is read as it was written, and what is none is named', () => {
  assert.deepEqual(parseRecord(printRecord(record('n1', 'n2'))), record('n1', 'n2'));
  assert.deepEqual(withoutAddress(record('n1', 'n2'), '10.0.0.2'), record('n1'));
  assert.throws(() => parseRecord('{}'), /ConfigMap calico-etcd-members/);
});
