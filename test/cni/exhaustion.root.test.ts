// A node that runs out of descriptors or of disk: a call is refused whole and says why, nothing of it is
// left, and what was promised before stays promised. The real shim, agent, kernel and etcd.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import {
  assertNothingLeft,
  CALICO,
  IPAM,
  listOf,
  NAME,
  type Network,
  openNetwork,
} from './network.ts';
import type { Attachment } from './runtime.ts';

/** Each is some 700 bytes of the 8 MiB that the kernel keeps. */
const ROUTES = 16_384;
const ipRoute = (verb: string, to: string): string => `route ${verb} blackhole ${to}`;
/** Some pages: a file by name takes none. */
const DISK_KIB = 16;

describe('a node runs out of', { timeout: 180_000 }, () => {
  let network: Network;
  before(async () => {
    network = await openNetwork();
  });
  after(() => network?.lab.stop());

  const call = async (command: string, one: Attachment) => {
    const { runtime } = network;
    const config = { cniVersion: '1.1.0', name: NAME, ...CALICO };
    const { exit, stdout } = await runtime.exec(
      'calico',
      runtime.environment(command, one),
      config,
    );
    const { code = 0, msg = '' } = JSON.parse(stdout || '{}') as { code?: number; msg?: string };
    return { exit, code, msg };
  };
  const refused = (reply: { exit: number; code: number }): void =>
    assert.ok(reply.exit !== 0 && reply.code > 0, JSON.stringify(reply));
  const pid = (): string => String(network.host.agent!.pid);
  const openNow = (): number => readdirSync(`/proc/${pid()}/fd`).length;

  /** The agent may open so many more. */
  const limit = (more: number): void =>
    void run(['prlimit', '--pid', pid(), `--nofile=${openNow() + more}:`]);
  /** It may open none: no number below the limit is free, now or after one is closed. */
  const allowNone = (): void => {
    const used = new Set(readdirSync(`/proc/${pid()}/fd`).map(Number));
    const free = [...used].findIndex((_, number) => !used.has(number));
    run(['prlimit', '--pid', pid(), `--nofile=${free < 0 ? used.size : free}:`]);
  };
  const unlimit = (): void => void run(['prlimit', '--pid', pid(), '--nofile=1024:']);

  test('descriptors: an ADD is given whole or refused whole, whichever descriptor is the first too many', async () => {
    const list = listOf();
    const known = network.container('before');
    await network.runtime.add(list, known); // everything that stays open is open
    const outcomes: string[] = [];
    for (let more = 0; more <= 8; more++) {
      const one = network.container(`fd${more}`);
      limit(more);
      const reply = await call('ADD', one).finally(() => unlimit());
      outcomes.push(reply.exit === 0 ? 'given' : String(reply.code));
      if (reply.exit !== 0) refused(reply);
      const held = [...(await network.stored(`${IPAM}handle/`)).keys()];
      const has = held.some((handle) => handle.includes(one.containerId));
      assert.equal(has, reply.exit === 0, `${more} more: ${JSON.stringify(reply)}`);
      assert.equal((await call('ADD', one)).exit, 0, 'given as soon as it can be');
      assert.equal((await call('DEL', one)).exit, 0);
    }
    assert.ok(outcomes.includes('given') && outcomes.some((o) => o !== 'given'), outcomes.join());
    assert.equal((await call('CHECK', known)).code, 7, 'it asks for a prevResult as ever');
    await network.runtime.check(list, known);
    await network.runtime.delete(list, known);
    await assertNothingLeft(network);
  });

  test('descriptors, many calls at once: who is refused leaves nothing, who is given an address keeps it', async () => {
    const all = Array.from({ length: 24 }, (_, i) => network.container(`many${i}`));
    limit(10);
    const replies = await Promise.all(all.map((one) => call('ADD', one))).finally(() => unlimit());
    const given = all.filter((_, i) => replies[i]!.exit === 0);
    assert.ok(given.length < all.length, 'some are refused');
    for (const reply of replies) if (reply.exit !== 0) refused(reply);
    await eventually('addresses of those who were given one, and no others', async () => {
      const held = [...(await network.stored(`${IPAM}handle/`)).keys()];
      return held.length === given.length;
    });
    for (const one of all) assert.equal((await call('DEL', one)).exit, 0);
    await assertNothingLeft(network);
  });

  /** More routes come and go than the kernel keeps for a process that does not read. */
  const overrun = (): void => {
    const routes = Array.from({ length: ROUTES }, (_, i) => `10.99.${i >> 8}.${i & 255}/32`);
    const lines = ['add', 'delete'].flatMap((verb) => routes.map((to) => ipRoute(verb, to)));
    run(['ip', '-netns', network.host.netns, '-batch', '-'], lines.join('\n'));
  };

  const hears = (): boolean => / 00000551 /.test(network.host.exec(['cat', '/proc/net/netlink'])); // links, addresses, routes

  test('descriptors, while news of the kernel are lost: it goes on, and hears them again as soon as it can', async () => {
    const list = listOf();
    const one = network.container('news');
    const { ips } = (await network.runtime.add(list, one)) as { ips?: { address: string }[] };
    const ownRoutes = (): string => network.host.exec(['ip', 'route', 'show', ips![0]!.address]);
    const before = ownRoutes();
    assert.ok(hears());
    run(['kill', '-STOP', pid()]);
    try {
      overrun();
      allowNone();
    } finally {
      run(['kill', '-CONT', pid()]);
    }
    try {
      await eventually('it hears nothing any more', () => !hears());
      network.host.exec(['ip', 'route', 'delete', ips![0]!.address]);
    } finally {
      unlimit();
    }
    await eventually('what it missed is mended', () => ownRoutes() === before);
    network.host.exec(['ip', 'route', 'delete', ips![0]!.address]);
    await eventually('and what it hears', () => ownRoutes() === before);
    await network.runtime.delete(list, one);
    await assertNothingLeft(network);
  });

  describe('disk', () => {
    const FOLDER = '/var/lib/calico/releases';
    /** In the agent's own mounts, which end with it. */
    const inside = (...argv: string[]): string =>
      run(['nsenter', `--target=${pid()}`, '--mount', ...argv]);
    const fill = (): string => inside('sh', '-c', `dd if=/dev/zero of=${FOLDER}/full 2>&1 || true`);
    const handles = async () => [...(await network.stored(`${IPAM}handle/`)).keys()];

    before(() => {
      inside('mount', '-t', 'tmpfs', '-o', `size=${DISK_KIB}k`, 'ckt-disk', FOLDER);
    });

    test('with the datastore away: DEL promises nothing that it cannot keep, and keeps it once there is room', async () => {
      const [first, second] = [network.container('disk1'), network.container('disk2')];
      for (const one of [first, second]) assert.equal((await call('ADD', one)).exit, 0);
      assert.match(fill(), /No space left/);
      await network.lab.stopEtcd();
      try {
        const reply = await call('DEL', first);
        assert.equal(reply.code, 11, JSON.stringify(reply));
        assert.match(reply.msg, /journal: ENOSPC/);
        assert.equal(inside('ls', FOLDER).trim(), 'full', 'no half-written entry is left');
        inside('rm', `${FOLDER}/full`);
        assert.equal((await call('DEL', first)).exit, 0, 'the runtime repeats it');
      } finally {
        network.lab.startEtcd();
      }
      await eventually('the promise is kept, the other one lives', async () => {
        const held = await handles();
        return held.length === 1 && held[0]!.includes(second.containerId);
      });
      assert.equal((await call('DEL', second)).exit, 0);
      await assertNothingLeft(network);
    });

    test('with the datastore there: neither ADD nor its undoing nor DEL needs any', async () => {
      const one = network.container('disk3');
      fill();
      const link = ['ip', '-n', one.namespace, 'link'];
      run([...link, 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other']);
      refused(await call('ADD', one)); // after its address was stored
      await assertNothingLeft(network);
      run([...link, 'delete', 'eth0']);
      assert.equal((await call('ADD', one)).exit, 0);
      assert.equal((await call('DEL', one)).exit, 0);
      assert.equal(inside('ls', FOLDER).trim(), 'full');
      await assertNothingLeft(network);
    });
  });
});
