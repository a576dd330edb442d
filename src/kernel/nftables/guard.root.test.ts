import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempt, run } from '../../../test/lab/command.ts';
import { inFreshNetns } from '../../../test/lab/netns.ts';
import { openGuard } from './guard.io.ts';

const RULES = { acceptMark: 0x10000, interfacePrefixes: ['cali', 'tap'] };
const PREFIX = `ckt-guard-${process.pid}`;

const nft = (name: string, ...argv: string[]) =>
  attempt(['ip', 'netns', 'exec', name, 'nft', ...argv]);

for (const family of [4, 6] as const)
  test(`IPv${family}: it stays when its process ends, the next one takes it over, and any can remove it then`, () =>
    inFreshNetns(`${PREFIX}-${family}`, 1, async ([name], [path]) => {
      const [first, second] = [openGuard(family, path), openGuard(family, path)];
      assert.equal(first.look(), undefined);
      await first.remove(); // there is none: nothing happens
      await first.set(RULES);
      assert.ok(first.look()!.isWhole);
      if (first.look()!.isKept) {
        assert.ok(nft(name!, 'flush', 'ruleset').ok);
        assert.ok(first.look()!.isWhole, 'flushing passes it by');
        assert.ok(!nft(name!, 'flush', 'table', ...(family === 4 ? ['ip'] : ['ip6']), TABLE).ok);
      }
      for (let times = 0; times < 20; times++) {
        const setting = first.set(RULES);
        first.look(); // metrics are asked for at any moment
        await setting;
      }
      const taken = second.set({ ...RULES, interfacePrefixes: ['cali'] });
      first.close(); // as a process that ends; the second waits for it
      await taken;
      assert.ok(second.look()!.isWhole);
      second.close();
      const last = openGuard(family, path);
      assert.equal(last.look()!.isWhole, false, 'who has not set it does not answer for it');
      await last.remove();
      assert.equal(last.look(), undefined);
      assert.equal(run(['ip', 'netns', 'exec', name!, 'nft', 'list', 'tables']), '');
      last.close();
    }));

const TABLE = 'calico-kit-guard';

test('of a kernel before 6.9 it is anybody’s: what others removed of it is seen', () =>
  inFreshNetns(PREFIX, 1, async ([name], [path]) => {
    const guard = openGuard(4, path, 'anybody');
    await guard.set(RULES);
    assert.deepEqual(guard.look(), { isWhole: true, isKept: false, dropped: 0 });
    assert.ok(nft(name!, 'flush', 'chain', 'ip', TABLE, 'forward').ok);
    assert.equal(guard.look()!.isWhole, false);
    await guard.set(RULES);
    assert.equal(guard.look()!.isWhole, true);
    assert.ok(nft(name!, 'flush', 'ruleset').ok);
    assert.equal(guard.look(), undefined);
    // An agent of an earlier kernel, or of an earlier version, left it; this one keeps it.
    await guard.set(RULES);
    guard.close();
    const newer = openGuard(4, path);
    await newer.set(RULES);
    assert.equal(newer.look()!.isWhole, true);
    newer.close();
  }));
