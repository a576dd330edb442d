// A kernel before 6.9 knows no table that stays with its socket: the guard is one that anybody could remove.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuard } from '../../../src/kernel/nftables/guard.io.ts';

test('the guard stands on a kernel that cannot keep it from others', async () => {
  for (const family of [4, 6] as const) {
    const guard = openGuard(family);
    for (const acceptMark of [0x10000, 0x100])
      await guard.set({ acceptMark, interfacePrefixes: ['cali'] });
    assert.deepEqual(guard.look(), { isWhole: true, isKept: false, dropped: 0 });
    guard.close();
    const next = openGuard(family);
    assert.ok(next.look(), 'it stays when its process ends');
    await next.remove();
    assert.equal(next.look(), undefined);
    next.close();
  }
});
