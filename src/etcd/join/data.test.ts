// What counts as a member's data, on a real disk.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { MemberData } from './data.io.ts';

describe('data of a member', () => {
  let parent = '';
  let data: MemberData;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'ck-member-'));
    data = new MemberData(['etcd', `--data-dir=${join(parent, 'data')}`]);
  });
  afterEach(() => rmSync(parent, { recursive: true }));
  const make = (...folders: string[]): void => {
    for (const folder of folders) mkdirSync(join(data.folder, folder), { recursive: true });
  };

  // In this order etcd makes them; killed between any two, it is no member yet.
  const BEFORE: readonly (readonly string[])[] = [
    [],
    ['member'],
    ['member/snap'],
    ['member/snap', 'member/wal.tmp'],
    ['member/snap', 'member/wal'],
  ];
  for (const folders of BEFORE)
    test(`[${folders.join(', ')}] is none, and goes without a trace`, () => {
      make(...folders);
      assert.equal(data.isThere, false);
      data.setAside(1);
      assert.deepEqual(readdirSync(parent), []);
    });

  test('with a log it is there, and is kept beside when it is set aside', () => {
    make('member/snap', 'member/wal');
    writeFileSync(join(data.folder, 'member/wal/0000000000000000-0000000000000000.wal'), '');
    assert.equal(data.isThere, true);
    data.setAside(1);
    assert.equal(data.isThere, false);
    assert.ok(existsSync(`${data.folder}.before-1/member/wal`));
  });
});
