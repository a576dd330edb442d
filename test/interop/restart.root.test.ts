// Graceful restart (RFC 4724) with FRR and GoBGP: who is killed and starts again within the restart time is missed
// by nobody. (With BIRD, and with packets on the way: graceful.root.test.ts.)
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { FrrRouter, GobgpRouter, type Router, THEIRS } from './routers.ts';
import { OUR_BLOCK } from './two-hosts.ts';

const ROUTE = '172.20.0.0/24';
const RESTART = { restart: { restartSeconds: 60, staleSeconds: 60 } };

for (const [name, Host] of [
  ['FRR', FrrRouter],
  ['GoBGP', GobgpRouter],
] as const)
  describe(`graceful restart with ${name}`, { timeout: 120_000 }, () => {
    let router: Router;
    before(async () => {
      router = new Host();
      router.start(RESTART);
      router.startSpeaker();
      await router.established(30_000);
      router.announce({ prefix: ROUTE });
      await eventually('their route', () => router.routes().some((r) => r.startsWith(ROUTE)));
      await eventually('our block', () => router.shown(OUR_BLOCK));
    });
    after(() => router?.close());

    test('we are killed and start again: it has our block, and we have its route, at every moment', async () => {
      const watch = await lossesOf(router);
      let isMissed = false;
      const look = (): void => {
        isMissed ||= router.shown(OUR_BLOCK) === '';
      };
      await router.killSpeaker();
      look();
      router.startSpeaker();
      await eventually('up again, and all is told', async () => {
        look();
        const heard = await router.heard(ROUTE);
        return heard?.rank === 'best' && !heard.stale;
      });
      look();
      assert.equal(isMissed, false);
      assert.deepEqual(await watch(), []);
    });

    test('it is killed and starts again: our kernel has its route at every moment', async () => {
      const watch = await lossesOf(router);
      await router.stop();
      await eventually('kept', async () => (await router.heard(ROUTE))?.stale);
      await router.restart(RESTART);
      await eventually(
        'told again',
        async () => {
          const heard = await router.heard(ROUTE);
          return heard !== undefined && !heard.stale;
        },
        30_000,
      );
      assert.deepEqual(await watch(), []);
      assert.ok(router.routes().includes(`${ROUTE} via ${THEIRS} dev eth0`));
    });
  });

/** From now on: what our kernel loses of its routes by BGP, until it is asked. */
async function lossesOf({ left }: Router): Promise<() => Promise<readonly string[]>> {
  const argv = ['-n', left, 'monitor', 'route'];
  const child: ChildProcess = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child, 'spawn');
  let said = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  return async () => {
    child.kill();
    await once(child, 'close');
    return said.split('\n').filter((line) => /^Deleted .*proto bird/.test(line));
  };
}
