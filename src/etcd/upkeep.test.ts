// Which snapshots go, and in which order members give space back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdMembers, MemberStatus } from '../datastore/members.io.ts';
import { defragment, type Open } from './members.io.ts';
import { snapshotName, tooMany } from './snapshots.ts';

test('snapshots are named by their time, and the oldest beyond the number go', () => {
  const names = [3, 1, 2].map((day) => snapshotName(Date.UTC(2027, 0, day, 2, 30)));
  assert.equal(names[1], 'calico-etcd-20270101T023000Z.db');
  assert.deepEqual(tooMany([...names, 'mine.db', 'calico-etcd-1.db'], 2), [names[1]]);
  assert.deepEqual(tooMany(names, 3), []);
});

const MIB = 1 << 20;

/** Three members, the first of which leads; what is done is told. */
function three(more: Partial<Record<string, Partial<MemberStatus> | 'silent'>> = {}) {
  const done: string[] = [];
  const names = ['a', 'b', 'c'];
  const members = names.map((name, index) => ({
    id: BigInt(index + 1),
    name,
    peerUrls: [],
    clientUrls: [name],
    isLearner: false,
  }));
  const open: Open = (endpoints) => {
    const [name = ''] = endpoints ?? [];
    const own = more[name];
    const status: MemberStatus = {
      ...{ id: BigInt(names.indexOf(name) + 1), version: '3.6.8', leader: 1n, isLearner: false },
      ...{ bytes: 20 * MIB, bytesInUse: MIB, revision: 7n, raftTerm: 2n, raftIndex: 9n },
      errors: [],
      ...(own === 'silent' ? {} : own),
    };
    return {
      list: async () => members,
      status: async () => {
        if (own === 'silent') throw new Error('it is silent');
        return status;
      },
      defragment: async () => void done.push(name),
      close: () => {},
    } as Partial<EtcdMembers> as EtcdMembers;
  };
  return { open, done };
}

test('members give space back one after the other, the leader last', async () => {
  const { open, done } = three();
  const said: string[] = [];
  await defragment(open, MIB, (words) => said.push(words));
  assert.deepEqual(done, ['b', 'c', 'a']);
  assert.equal(said[0], 'b: 20.0 MiB before, 20.0 MiB now');
});

test('who has little to give back is left alone', async () => {
  const { open, done } = three({ b: { bytes: 2 * MIB } });
  await defragment(open, 8 * MIB, () => {});
  assert.deepEqual(done, ['c', 'a']);
});

test('nobody is silenced while another is silent', async () => {
  const { open, done } = three({ c: 'silent' });
  await assert.rejects(
    defragment(open, 0, () => {}),
    /c: it is silent; nothing is done/,
  );
  assert.deepEqual(done, []);
});
