import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryStore } from '../datastore/memory.ts';
import type { Write } from '../datastore/store.ts';
import { type IpamBlock, printIpam } from '../model/ipam.ts';
import { blockKey, handleKey } from '../model/keys.ts';
import { cidr } from '../net/cidr.ts';
import type { Guard } from './batch.ts';
import { assignOne, emptyBlock, releaseHandle } from './block.ts';
import { readBack } from './read-back.io.ts';

const range = cidr('10.0.0.0/30');
const before = emptyBlock({ cidr: range, owner: 'host:a', claimedAt: 't', sequenceNumber: 7n });
const assigned = (block: IpamBlock, id: string, ordinal?: number): IpamBlock =>
  assignOne(block, { handle_id: id }, ordinal).block;
const handle = printIpam({ block: { [range]: 1 }, deleted: false });

const put = (key: string, value: string): Write => ({ kind: 'put', key, value });
const sent = [
  put(blockKey(range), printIpam(assigned(before, 'n.1'))),
  put(handleKey('n.1'), handle),
];
const lost = new Error('the reply was lost');

/** What is read back when `stored` was written since. */
async function seen(
  stored: Readonly<Record<string, string>>,
  writes: readonly Write[] = sent,
): Promise<string> {
  const store = memoryStore();
  store.put(blockKey(range), printIpam(before));
  const revision = (await store.get(blockKey(range)))!.revision;
  const guard = (key: string, at: bigint): Guard => ({
    compare: { key, revision: at },
    alongside: undefined,
  });
  const guards = [guard(blockKey(range), revision), guard(handleKey('n.1'), 0n)];
  for (const [key, value] of Object.entries(stored)) store.put(key, value);
  try {
    return (await readBack(store, guards, writes, lost)).kind;
  } catch (cause) {
    return cause === lost ? 'nothing' : 'failed';
  }
}

test('what is stored after a lost reply decides', async () => {
  const block = blockKey(range);
  const mine = { [block]: printIpam(assigned(before, 'n.1')), [handleKey('n.1')]: handle };
  assert.equal(await seen({}), 'nothing');
  assert.equal(await seen(mine), 'happened');
  const movedOn = assigned(assigned(before, 'n.1'), 'n.2');
  assert.equal(await seen({ ...mine, [block]: printIpam(movedOn) }), 'happened');
  const others = assigned(before, 'n.2');
  assert.equal(await seen({ [block]: printIpam(others) }), 'conflict');
  // The same handle of another writer, with the same text, but another address.
  const elsewhere = assigned(others, 'n.1');
  assert.equal(await seen({ ...mine, [block]: printIpam(elsewhere) }), 'conflict');
  const freed = releaseHandle(movedOn, 'n.1')!.block;
  assert.equal(await seen({ [block]: printIpam(freed) }), 'conflict');
  assert.equal(await seen({ [block]: printIpam(others) }, []), 'conflict');
});

test('what was only compared must still be so: an earlier transaction may have done the rest', async () => {
  // DEL of n.1 and n.2 in one transaction, while a lost one freed n.1 and gave n.2 an address.
  const store = memoryStore();
  store.put(blockKey(range), printIpam(assigned(before, 'n.1')));
  store.put(handleKey('n.1'), handle);
  const revisionOf = async (key: string): Promise<bigint> => (await store.get(key))?.revision ?? 0n;
  const guards: Guard[] = [];
  for (const key of [blockKey(range), handleKey('n.1'), handleKey('n.2')])
    guards.push({ compare: { key, revision: await revisionOf(key) }, alongside: undefined });
  const freed = releaseHandle(assigned(before, 'n.1'), 'n.1')!.block;
  store.put(blockKey(range), printIpam(assigned(freed, 'n.2')));
  store.put(handleKey('n.2'), handle);
  store.delete(handleKey('n.1'));
  const writes: Write[] = [
    put(blockKey(range), printIpam(freed)),
    { kind: 'delete', key: handleKey('n.1') },
  ];
  assert.equal((await readBack(store, guards, writes, lost)).kind, 'conflict');
});
