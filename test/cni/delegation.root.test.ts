// What the CNI specification 1.1.0 lays on plugins that call others, and what else specification.root.test.ts
// has not: one test per MUST and SHOULD, named after its sentence; the real shim, agent and etcd.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { attempt } from '../lab/command.ts';
import { ended } from '../lab/lab.ts';
import { assertNothingLeft, CALICO, listOf, type Network, openNetwork } from './network.ts';
import { type Attachment, PluginFailure } from './runtime.ts';

const LIST = listOf();
const DELEGATE = 'test-ipam';
const DELEGATING = { type: 'calico', ipam: { type: DELEGATE, more: [1, { two: 'a b' }] } };

describe('the CNI specification, plugins that call others', { timeout: 180_000 }, () => {
  let network: Network;
  before(async () => {
    network = await openNetwork();
  });
  after(() => network?.lab.stop());

  const failing = () => join(network.host.directory, 'failing');
  const seen = (command: string, what: string) =>
    join(network.host.directory, `${command}.${what}`);

  /** An IPAM plugin that writes down how it was called; it fails the commands named in a file. */
  const install = (): void => {
    const folder = network.host.directory;
    const script = `#!/bin/sh
env | grep ^CNI_ | sort > ${folder}/$CNI_COMMAND.env
cat > ${folder}/$CNI_COMMAND.stdin
echo "a word of $CNI_COMMAND" >&2
if grep -qs $CNI_COMMAND ${failing()}; then
  echo '{"cniVersion":"1.1.0","code":142,"msg":"no luck"}'
  exit 1
fi
[ $CNI_COMMAND = ADD ] || exit 0
case $CNI_CONTAINERID in *b) last=8 ;; *) last=9 ;; esac
echo '{"cniVersion":"1.1.0","ips":[{"address":"10.79.0.'$last'/24"}]}'
`;
    writeFileSync(join(folder, 'bin', DELEGATE), script, { mode: 0o755 });
  };
  const fail = (...commands: readonly string[]): void =>
    commands.length > 0
      ? writeFileSync(failing(), commands.join('\n'))
      : rmSync(failing(), { force: true });

  const call = (command: string, one: Attachment | undefined, more: object = {}) =>
    network.runtime.exec(
      'calico',
      one ? network.runtime.environment(command, one) : { CNI_COMMAND: command },
      { cniVersion: '1.1.0', name: LIST.name, ...DELEGATING, ...more },
    );
  const restart = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
    await ended(network.host.agent!, 'SIGTERM');
    await network.host.startAgent(env);
  };
  const codeOf = (stdout: string): number => (JSON.parse(stdout) as { code: number }).code;

  test('"Execute that plugin with the same environment and configuration that it received."', async () => {
    install();
    const one = network.container('same', { args: 'IgnoreUnknown=1;MORE=text' });
    const added = await call('ADD', one);
    assert.equal(added.exit, 0, added.stdout);
    const prevResult = JSON.parse(added.stdout) as object;
    const valid = {
      'cni.dev/valid-attachments': [{ containerID: one.containerId, ifname: 'eth0' }],
    };
    const calls: [string, object][] = [
      ['CHECK', { prevResult }],
      ['STATUS', {}],
      ['GC', valid],
      ['DEL', { prevResult }],
    ];
    for (const [command, more] of calls) {
      const forContainer = command !== 'STATUS' && command !== 'GC';
      const reply = await call(command, forContainer ? one : undefined, more);
      assert.equal(reply.exit, 0, reply.stdout);
    }
    for (const [command, more] of [['ADD', {}] as [string, object], ...calls]) {
      const config = { cniVersion: '1.1.0', name: LIST.name, ...DELEGATING, ...more };
      assert.deepEqual(JSON.parse(readFileSync(seen(command, 'stdin'), 'utf8')), config, command);
      const env = readFileSync(seen(command, 'env'), 'utf8').trim().split('\n');
      const forContainer = command !== 'STATUS' && command !== 'GC';
      const given: Record<string, string> = {
        ...(forContainer ? network.runtime.environment(command, one) : { CNI_COMMAND: command }),
        CNI_PATH: network.runtime.path,
      };
      for (const [name, value] of Object.entries(given))
        assert.ok(env.includes(`${name}=${value}`), `${command}: ${name} in ${env.join(' ')}`);
    }
    await assertNothingLeft(network);
  });

  test('"Ensure that the delegated plugin’s stderr is output to the calling plugin’s stderr.": it is in the agent’s log', () => {
    for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'])
      assert.match(network.host.log('agent'), new RegExp(`a word of ${command}`));
  });

  test('"If a plugin is executed with CNI_COMMAND=CHECK, DEL, GC, or STATUS, it must also execute any delegated plugins. If any of the delegated plugins return error, error should be returned by the upper plugin."', async () => {
    install();
    const one = network.container('errors');
    const added = await call('ADD', one);
    const prevResult = JSON.parse(added.stdout) as object;
    fail('CHECK', 'DEL', 'GC', 'STATUS');
    try {
      for (const command of ['CHECK', 'DEL']) {
        const reply = await call(command, one, { prevResult });
        assert.deepEqual([reply.exit, codeOf(reply.stdout)], [1, 142], command);
        assert.match(reply.stdout, /IPAM plugin test-ipam: no luck/);
      }
      assert.equal((await call('STATUS', undefined)).exit, 1);
      const reply = await call('GC', undefined, { 'cni.dev/valid-attachments': [] });
      assert.equal(reply.exit, 1);
    } finally {
      fail();
    }
    assert.equal((await call('DEL', one, { prevResult })).exit, 0);
    await assertNothingLeft(network);
  });

  test('GC: "If an error is encountered, a plugin should continue; removing as many resources as possible, and report the errors back to the runtime."', async () => {
    install();
    const stale = ['gc-a', 'gc-b'].map((name) => network.container(name));
    for (const one of stale) assert.equal((await call('ADD', one)).exit, 0);
    fail('DEL', 'GC');
    try {
      const reply = await call('GC', undefined, { 'cni.dev/valid-attachments': [] });
      assert.equal(reply.exit, 1);
      assert.match(reply.stdout, /GC: 3 could not be removed: .*no luck.*no luck.*no luck/);
    } finally {
      fail();
    }
    await assertNothingLeft(network);
  });

  test('"If, on ADD, a delegated plugin fails, the upper plugin should execute again with DEL before returning failure."', async () => {
    install();
    rmSync(seen('DEL', 'env'), { force: true });
    fail('ADD');
    try {
      const reply = await call('ADD', network.container('again'));
      assert.deepEqual([reply.exit, codeOf(reply.stdout)], [1, 142]);
      assert.ok(existsSync(seen('DEL', 'env')));
    } finally {
      fail();
    }
    await assertNothingLeft(network);
  });

  for (const point of ['add:outside', 'add:routed', 'del:delegating'])
    test(`kill -9 at ${point}: DEL of the next agent reaches the IPAM plugin, and nothing is left`, async () => {
      install();
      const one = network.container(point.replace(':', '-'));
      const command = point.startsWith('add') ? 'ADD' : 'DEL';
      if (command === 'DEL') assert.equal((await call('ADD', one)).exit, 0);
      await restart({ CALICO_FAILPOINT: point });
      assert.notEqual((await call(command, one)).exit, 0, 'the agent died');
      rmSync(seen('DEL', 'env'), { force: true });
      await restart();
      assert.equal((await call('DEL', one)).exit, 0);
      assert.ok(existsSync(seen('DEL', 'env')));
      await assertNothingLeft(network);
    });

  test('kill -9 once a release is in the journal: the next agent carries it out', async () => {
    const one = network.container('journalled');
    const calico = { cniVersion: '1.1.0', name: LIST.name, ...CALICO };
    const exec = (command: string) =>
      network.runtime.exec('calico', network.runtime.environment(command, one), calico);
    assert.equal((await exec('ADD')).exit, 0);
    await restart({ CALICO_FAILPOINT: 'del:journalled' });
    await network.lab.stopEtcd();
    assert.notEqual((await exec('DEL')).exit, 0, 'the agent died');
    network.lab.startEtcd();
    await restart();
    await assertNothingLeft(network);
  });

  test('CNI_IFNAME: "if the plugin is unable to use this interface name it must return an error."', async () => {
    const one = network.container('name');
    for (const ifname of ['sixteen-letters-', 'a/b', 'a:b', 'a b', '.', '..', 'lo']) {
      const cause = await network.runtime.add(LIST, { ...one, ifname }).then(
        () => assert.fail(`${ifname} was taken`),
        (thrown: unknown) => thrown,
      );
      assert.ok(cause instanceof PluginFailure, String(cause));
    }
    await assertNothingLeft(network);
  });

  test('CHECK: "The plugin must handle CHECK being called immediately after an ADD, so should allow a reasonable convergence delay for any asynchronous resources."', async () => {
    const all = Array.from({ length: 12 }, (_, i) => network.container(`soon${i}`));
    await Promise.all(
      all.map(async (one) => {
        await network.runtime.add(LIST, one);
        await network.runtime.check(LIST, one);
      }),
    );
    await Promise.all(all.map((one) => network.runtime.delete(LIST, one)));
    await assertNothingLeft(network);
  });

  test('DEL: "an IPAM plugin should generally release an IP allocation and return success even if the container network namespace no longer exists"', async () => {
    const config = { cniVersion: '1.1.0', name: LIST.name, ...CALICO, type: 'bridge' };
    for (const netns of ['', undefined]) {
      const one = network.container(`ipam-${netns === undefined}`);
      const exec = (command: string, about: Attachment) =>
        network.runtime.exec('calico-ipam', network.runtime.environment(command, about), config);
      assert.equal((await exec('ADD', one)).exit, 0);
      attempt(['ip', 'netns', 'delete', one.namespace]);
      const reply = await exec('DEL', { ...one, netns: netns ?? one.netns });
      assert.deepEqual([reply.exit, reply.stdout], [0, '']);
    }
    await assertNothingLeft(network);
  });
});
