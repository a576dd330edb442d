import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Seen } from '../../etcd/members.io.ts';
import { status } from './status.ts';

const seen = (id: bigint, name: string, more: Partial<Seen> = {}): Seen => ({
  member: {
    ...{ id, name, isLearner: false },
    peerUrls: [`https://10.0.0.${id}:6667`],
    clientUrls: [`https://10.0.0.${id}:6666`],
  },
  status: {
    ...{ id, version: '3.6.8', leader: 1n, isLearner: false, bytes: 3 << 20, bytesInUse: 1 << 20 },
    ...{ revision: 214n, raftTerm: 2n, raftIndex: 300n, errors: [] },
  },
  ...more,
});

test('a table of the members; well when all are', () => {
  const { lines, failed } = status([seen(1n, 'n1'), seen(2n, 'n2')]);
  assert.deepEqual(lines, [
    '+--------+-----------------------+----------+---------+-----+--------+----------+------+',
    '| MEMBER | ADDRESS               | ROLE     | VERSION | MIB | IN USE | REVISION | TERM |',
    '+--------+-----------------------+----------+---------+-----+--------+----------+------+',
    '| n1     | https://10.0.0.1:6666 | leader   | 3.6.8   | 3.0 |    1.0 |      214 |    2 |',
    '| n2     | https://10.0.0.2:6666 | follower | 3.6.8   | 3.0 |    1.0 |      214 |    2 |',
    '+--------+-----------------------+----------+---------+-----+--------+----------+------+',
  ]);
  assert.equal(failed, false);
});

test('it fails where one is silent, or says that something is wrong', () => {
  const { status: said, ...silent } = seen(2n, 'n2', { problem: 'no connection within 2000 ms' });
  assert.equal(said?.id, 2n);
  const alarmed = seen(1n, 'n1');
  const wrong = { ...alarmed, status: { ...alarmed.status!, errors: ['alarm:NOSPACE'] } };
  const { lines, failed } = status([wrong, silent]);
  assert.deepEqual(lines.slice(-2), ['n1: alarm:NOSPACE', 'n2: no connection within 2000 ms']);
  assert.match(lines[4] ?? '', /silent/);
  assert.equal(failed, true);
});
