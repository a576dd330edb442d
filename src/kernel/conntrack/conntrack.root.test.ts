// Flows of an address, in a namespace of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../../test/lab/command.ts';
import { inFreshNetns } from '../../../test/lab/netns.ts';
import { deleteFlows } from './conntrack.io.ts';

const STATE = '-p tcp --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY -t 100';
const TRANSLATED = '--dst-nat 10.0.0.1';

test('conntrack: the flows of an address go, translated ones too; others stay', () =>
  inFreshNetns(`ckt-kernel-${process.pid}-flows`, 1, async ([name], [netnsPath]) => {
    const conntrack = (command: string): string =>
      run(['ip', 'netns', 'exec', name!, 'conntrack', ...command.split(' ')]);
    const insert = (flow: string): string => conntrack(`-I ${STATE} ${flow}`);
    const sources = (family: string): readonly string[] =>
      [...conntrack(`-L -f ${family}`).matchAll(/ESTABLISHED src=(\S+)/g)].map((m) => m[1]!).sort();
    insert('-s 10.0.0.1 -d 10.0.0.9');
    insert('-s 10.0.0.2 -d 10.0.0.1');
    insert(`-s 10.0.0.3 -d 10.96.0.1 ${TRANSLATED}`);
    insert('-s 10.0.0.4 -d 10.0.0.9');
    insert('-s fd00::1 -d fd00::9');
    insert('-s fd00::2 -d fd00::9');
    await deleteFlows('10.0.0.1', { netnsPath: netnsPath! });
    assert.deepEqual(sources('ipv4'), ['10.0.0.4']);
    await deleteFlows('fd00::1', { netnsPath: netnsPath! });
    assert.deepEqual(sources('ipv6'), ['fd00::2']);
    await deleteFlows('10.0.0.77', { netnsPath: netnsPath! });
  }));

test('conntrack: a namespace that is gone is an OpError', async () => {
  const gone = deleteFlows('10.0.0.1', { netnsPath: '/run/netns/ckt-none' });
  await assert.rejects(gone, { name: 'OpError', op: 'delete flows of 10.0.0.1' });
});
