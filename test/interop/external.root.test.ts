// What routers of another AS and we do to each other beyond telling routes, once with FRR, GoBGP and
// BIRD: local-as, allowas-in, refresh, limits on prefixes, and the request for other ways (RFC 8326).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { OUR_ASN, ROUTERS, type Router, THEIR_ASN } from './routers.ts';
import { OUR_BLOCK } from './two-hosts.ts';

/** Our AS on this session alone. */
const LOCAL_ASN = 65099;
const LOOP = '172.20.0.0/24';
const AFTERWARDS = '172.22.0.0/24';
const LIMIT = 4;

for (const [name, Host] of Object.entries(ROUTERS))
  describe(`${name} in another AS, to which we speak as yet another`, { timeout: 120_000 }, () => {
    let router: Router;
    const spec = { localASNumber: LOCAL_ASN };
    before(async () => {
      router = new Host();
      router.peer(spec);
      router.start({ peerAsn: LOCAL_ASN, maxPrefixes: LIMIT });
      router.startSpeaker();
      await router.established(30_000);
    });
    after(() => router?.close());
    const since = async () => (await router.state()).peers[0]?.since;

    test('local-as: the path to our block begins with it, and our own AS is not in it', async () => {
      await eventually('our block', () => router.shown(OUR_BLOCK));
      assert.equal(router.asPath(OUR_BLOCK), String(LOCAL_ASN));
    });

    for (const asn of [OUR_ASN, LOCAL_ASN])
      test(`allowas-in: a path with ${asn} in it is of use as often as is allowed`, async () => {
        const before = await since();
        const usable = async () => (await router.heard(LOOP))?.rank === 'best';
        const refused = async () =>
          (await router.heard(LOOP))?.why === 'not accepted: own AS in AS_PATH';
        router.announce({ prefix: LOOP, asPath: [asn, 65077] });
        await eventually('not believed', refused);
        router.peer({ ...spec, numAllowedLocalASNumbers: 1 });
        await eventually('believed', usable);
        assert.equal((await router.heard(LOOP))?.asPath, `${THEIR_ASN} ${asn} 65077`);
        router.announce({ prefix: LOOP, asPath: [asn, 65077, asn] });
        await eventually('twice is too often', refused);
        router.peer(spec);
        assert.equal(await since(), before, 'the session stays');
      });

    test('its soft reset: who asks for all again is told it, and the session stays', async () => {
      const asked = async () => (await router.state()).peers[0]!.refreshes.received;
      const [begun, before] = [await since(), await asked()];
      router.refresh();
      if (router.asks) await eventually('asked', async () => (await asked()) > before);
      await eventually('our block', () => router.shown(OUR_BLOCK));
      // Both ways all goes on, and what it tells after the reset comes after what it would have asked.
      router.announce({ prefix: AFTERWARDS });
      await eventually('heard afterwards', () => router.heard(AFTERWARDS));
      assert.equal((await asked()) > before, router.asks);
      assert.equal(await since(), begun);
    });

    test('it is about to go (65535:0): its path is the last choice', async () => {
      router.announce({ prefix: LOOP });
      await eventually('as usual', async () => (await router.heard(LOOP))?.localPref === 100);
      router.announce({ prefix: LOOP, community: '65535:0' });
      const last = await eventually('the last choice', async () => {
        const path = await router.heard(LOOP);
        return path?.localPref === 0 ? path : undefined;
      });
      assert.deepEqual(last.communities, ['graceful-shutdown']);
    });

    test('we are about to go: it hears so, and when we stay after all', async () => {
      const asked = () => /graceful-shutdown|planned-shut|65535,0/.test(router.shown(OUR_BLOCK));
      router.cordon(true);
      await eventually('asked', asked);
      router.cordon(false);
      await eventually('not any more', () => router.shown(OUR_BLOCK) && !asked());
    });

    test('more prefixes than we take: it hears why, and comes back when more are allowed', async () => {
      const wish = (max: number) => router.peer(spec, { 'max-prefixes': String(max) });
      wish(3);
      for (const n of [1, 2, 3]) router.announce({ prefix: `172.21.${n}.0/24` });
      assert.match(await router.ended(), /^Cease: Maximum Number of Prefixes Reached \(6\/1\)/);
      wish(10);
      await router.established(60_000);
      await eventually('all of them', () => router.heard('172.21.3.0/24'));
    });

    test('more prefixes than it takes: we hear why', async () => {
      const blocks = Array.from({ length: LIMIT }, (_, n) => `192.168.9.${n * 64}/26`);
      for (const block of blocks) router.ownBlock(block);
      // FRR counts before it takes in what is new.
      if (name === 'FRR') await eventually('all of them', () => router.shown(blocks.at(-1)!));
      router.ownBlock('192.168.10.0/26');
      assert.match(
        await router.ended(),
        /^peer: Cease: Maximum Number of Prefixes Reached \(6\/1\)/,
      );
    });
  });
