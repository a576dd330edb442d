import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printIpam } from '../model/ipam.ts';
import { handleKey, IPAM } from '../model/keys.ts';
import { IpamView } from './ipam-view.ts';

const stored = printIpam({ block: { '10.0.0.0/26': 1 }, deleted: false });
const key = handleKey('n.1');
const put = (revision: bigint) =>
  ({ kind: 'put', item: { key, value: stored, revision } }) as const;

const viewWith = (revision: bigint): IpamView => {
  const view = new IpamView('a');
  view.snapshot(IPAM, [{ key, value: stored, revision }]);
  return view;
};

test('an older put that the watch still delivers brings no deleted handle back', () => {
  const view = viewWith(5n);
  view.removed(key, 7n);
  view.changes([put(6n)]);
  assert.equal(view.handles.size, 0);
  assert.equal(view.unconfirmedCount, 1, 'the deletion itself has not been told');
  view.changes([{ kind: 'delete', key, revision: 7n }]);
  view.changes([put(8n)]);
  assert.equal(view.handles.size, 1, 'what comes later is another one');
});

test('a deletion is remembered until the watch has passed it, whichever of the two comes first', () => {
  for (const watchIsFirst of [true, false]) {
    const view = viewWith(5n);
    const told = () => view.changes([{ kind: 'delete', key, revision: 7n }]);
    if (watchIsFirst) told();
    view.removed(key, 7n);
    if (!watchIsFirst) told();
    assert.equal(view.unconfirmedCount, 0);
    assert.equal(view.handles.size, 0);
  }
});

test('what the watches of pools and nodes tell says nothing of handles', () => {
  const view = viewWith(5n);
  view.removed(key, 7n);
  const pool = '/calico/resources/v3/projectcalico.org/ippools/p';
  view.changes([{ kind: 'put', item: { key: pool, value: '{}', revision: 9n } }]);
  view.changes([put(6n)]);
  assert.equal(view.handles.size, 0);
});
