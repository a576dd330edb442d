// Routes that outlive even the restart time (RFC 9494), with FRR, GoBGP and BIRD in both roles: who
// goes stays known as the last choice, marked, until its long-lived time is over too.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { ROUTERS, type Router } from './routers.ts';
import { OUR_BLOCK } from './two-hosts.ts';

const THEIRS = '172.20.0.0/24';
const TIMES = { restartSeconds: 1, staleSeconds: 3 };

for (const [name, Host] of Object.entries(ROUTERS))
  describe(`${name}: long-lived routes`, { timeout: 120_000 }, () => {
    let router: Router;
    before(async () => {
      router = new Host();
      router.peer({ maxRestartTime: '1s' }, { 'long-lived-time': '3s' });
      router.start({ restart: TIMES });
      router.startSpeaker();
      await router.established(30_000);
      router.announce({ prefix: THEIRS });
      await eventually('their route', () => router.heard(THEIRS));
      await eventually('our block', () => router.shown(OUR_BLOCK));
    });
    after(() => router?.close());

    test('we are killed: it keeps our block, then as a long-lived one, then no more', async () => {
      await router.killSpeaker();
      await eventually('marked', () => /llgr-stale|65535,6/i.test(router.shown(OUR_BLOCK)));
      await eventually('gone', () => router.shown(OUR_BLOCK) === '');
      router.startSpeaker();
      await router.established(30_000);
      await eventually('as before', () => {
        const shown = router.shown(OUR_BLOCK);
        return shown !== '' && !/llgr-stale|65535,6/i.test(shown);
      });
      await eventually('their route', () => router.heard(THEIRS));
    });

    test('it is killed: we keep its route, then as a long-lived one, then no more', async () => {
      await router.stop();
      await eventually('stale', async () => (await router.heard(THEIRS))?.stale);
      const marked = await eventually('marked', async () => {
        const path = await router.heard(THEIRS);
        return path?.communities.includes('llgr-stale') ? path : undefined;
      });
      assert.deepEqual([marked.rank, marked.stale], ['best', true]);
      await eventually('gone', async () => !(await router.heard(THEIRS)));
    });
  });
