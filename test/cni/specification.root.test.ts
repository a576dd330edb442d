// One test per MUST and SHOULD that the CNI specification 1.1.0 lays on plugins, named after its
// sentence; the real shim, agent and etcd. What binds runtimes is left out.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually } from '../lab/command.ts';
import { ended } from '../lab/lab.ts';
import { assertNothingLeft, CALICO, listOf, type Network, openNetwork } from './network.ts';
import { type Attachment, type CniJson, PluginFailure } from './runtime.ts';

const LIST = listOf();
const CONFIG = { cniVersion: '1.1.0', name: LIST.name, ...CALICO };

interface Result {
  readonly cniVersion: string;
  readonly interfaces: readonly { name: string; mac?: string; mtu?: number; sandbox?: string }[];
  readonly ips: readonly { address: string; interface: number }[];
}

describe('the CNI specification', { timeout: 240_000 }, () => {
  let network: Network;
  before(async () => {
    network = await openNetwork();
  });
  after(() => network?.lab.stop());

  const failure = async (work: Promise<unknown>): Promise<PluginFailure> => {
    const cause = await work.then(
      () => assert.fail('it should have failed'),
      (thrown: unknown) => thrown,
    );
    assert.ok(cause instanceof PluginFailure, String(cause));
    return cause;
  };
  const add = async (one: Attachment) =>
    (await network.runtime.add(LIST, one)) as unknown as Result;
  const drop = (one: Attachment) => network.runtime.delete(LIST, one);
  const exec = (command: string, one: Attachment | undefined, config: object = CONFIG) =>
    network.runtime.exec(
      'calico',
      one ? network.runtime.environment(command, one) : { CNI_COMMAND: command },
      config,
    );
  const codeOf = (stdout: string): number => (JSON.parse(stdout) as { code: number }).code;

  test('"A plugin must exit with a return code of 0 on success, and non-zero on failure. If the plugin encounters an error, it should output an "error" result structure"', async () => {
    const reply = await exec('ADD', { ...network.container('err'), netns: '/run/netns/nowhere' });
    assert.notEqual(reply.exit, 0);
    const error = JSON.parse(reply.stdout) as Record<string, unknown>;
    assert.equal(error['cniVersion'], '1.1.0');
    assert.equal(error['code'], 3);
    assert.equal(typeof error['msg'], 'string');
  });

  test('error code 3, "Container unknown", for a namespace that is gone: a living sandbox of the same pod is not touched', async () => {
    const pod = { args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=lives' };
    const one = network.container('lives', pod);
    await add(one);
    for (const netns of ['/run/netns/nowhere', '/proc/self']) {
      const unknown = { ...network.container(`lives-${netns.length}`, pod), netns };
      assert.equal((await failure(add(unknown))).code, 3);
      await network.runtime.check(LIST, one);
    }
    await drop(one);
    await assertNothingLeft(network);
  });

  test('ADD "should either create the interface defined by CNI_IFNAME inside the container at CNI_NETNS"; "If the CNI plugin is successful, it must output a result structure"', async () => {
    const one = network.container('add');
    const result = await add(one);
    assert.equal(
      result.cniVersion,
      '1.1.0',
      'cniVersion "must be the same version supplied on input"',
    );
    const [host, container] = result.interfaces;
    assert.equal(container?.name, 'eth0');
    assert.equal(container?.sandbox, one.netns);
    const link = network.inside(one, 'ip', 'link', 'show', 'eth0');
    assert.ok(link.includes(container!.mac!), 'mac of the container interface');
    assert.ok(link.includes(`mtu ${container!.mtu}`), 'mtu of the container interface');
    assert.ok(network.host.exec(['ip', 'link', 'show', host!.name]).includes('state UP'));
    assert.equal(host?.sandbox, undefined, 'sandbox is omitted for host interfaces');
    assert.equal(result.ips[0]?.interface, 1, 'interface indexes the container interface');
    const [ip] = result.ips[0]!.address.split('/');
    assert.ok(network.inside(one, 'ip', 'addr', 'show', 'eth0').includes(`${ip}/32`));
    assert.ok(attempt(['ip', 'netns', 'exec', network.host.netns, 'ping', '-c1', '-W1', ip!]).ok);
    await drop(one);
    await assertNothingLeft(network);
  });

  test('"If an interface of the requested name already exists in the container, the CNI plugin MUST return with an error."', async () => {
    const one = network.container('twice');
    network.inside(one, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    assert.equal((await failure(add(one))).code, 999);
    assert.match(network.inside(one, 'ip', 'link', 'show', 'eth0'), /eth0@other/, 'it stays');
    await assertNothingLeft(network);
  });

  test('"If the plugin was supplied a prevResult as part of its input configuration, it MUST handle prevResult by either passing it through, or modifying it appropriately."', async () => {
    const one = network.container('prev');
    const prevResult = {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'lo', sandbox: one.netns }],
      ips: [{ address: '127.0.0.1/8', interface: 0 }],
      dns: { nameservers: ['10.96.0.10'] },
    };
    const reply = await exec('ADD', one, { ...CONFIG, prevResult });
    const result = JSON.parse(reply.stdout) as Result & { dns: object };
    assert.deepEqual(
      result.interfaces.map(({ name }) => name.replace(/^cali.*/, 'host')),
      ['lo', 'host', 'eth0'],
    );
    assert.deepEqual(
      result.ips.map((ip) => ip.interface),
      [0, 2],
    );
    assert.deepEqual(result.dns, prevResult.dns);
    assert.equal((await exec('CHECK', one, { ...CONFIG, prevResult: result })).exit, 0);
    assert.equal((await exec('DEL', one)).exit, 0);
  });

  test('"a given container ID may be added to a specific network more than once only if each addition is done with a different interface name"', async () => {
    const one = network.container('many');
    const more = { ...one, ifname: 'net1' };
    const [first, second] = [await add(one), await add(more)];
    assert.notEqual(first.ips[0]!.address, second.ips[0]!.address);
    await network.runtime.check(LIST, one);
    await network.runtime.check(LIST, more);
    await drop(one);
    await network.runtime.check(LIST, more);
    await drop(more);
    await assertNothingLeft(network);
  });

  test('DEL "should either delete the interface defined by CNI_IFNAME inside the container at CNI_NETNS, or undo any modifications"', async () => {
    const one = network.container('del');
    await add(one);
    const reply = await exec('DEL', one);
    assert.deepEqual([reply.exit, reply.stdout], [0, '']);
    await eventually(
      'the interface is gone',
      () => !network.inside(one, 'ip', 'link').includes('eth0'),
    );
    await assertNothingLeft(network);
  });

  test('"Plugins MUST accept multiple DEL calls for the same (CNI_CONTAINERID, CNI_IFNAME) pair, and return success if the interface in question, or any modifications added, are missing."', async () => {
    const one = network.container('dels');
    assert.equal((await exec('DEL', one)).exit, 0, 'without ADD');
    await add(one);
    for (let i = 0; i < 3; i++) assert.equal((await exec('DEL', one)).exit, 0);
  });

  test('"Plugins should generally complete a DEL action without error even if some resources are missing."', async () => {
    const one = network.container('gone');
    await add(one);
    attempt(['ip', 'netns', 'delete', one.namespace]);
    assert.equal((await exec('DEL', one)).exit, 0, 'the namespace is gone');
    assert.equal((await exec('DEL', { ...one, netns: '' })).exit, 0, 'no namespace is named');
    await assertNothingLeft(network);
  });

  test('DEL that is repeated when another container has the path of the namespace by now', async () => {
    const one = network.container('path');
    const next = { ...one, containerId: 'next-cid-path' };
    await add(one);
    await drop(one);
    await add(next);
    assert.equal((await exec('DEL', one)).exit, 0);
    await network.runtime.check(LIST, next);
    await drop(next);
    await assertNothingLeft(network);
  });

  test('DEL while ADD of the same container still runs: the ADD ends, nothing is left of it; others go on meanwhile', async () => {
    const one = network.container('overtaken');
    // Its address comes from a plugin that does not come back.
    const started = join(network.host.directory, 'started');
    const plugin = join(network.host.directory, 'bin/slow-ipam');
    const script = `#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] || exit 0\ntouch ${started}\nexec sleep 600\n`;
    writeFileSync(plugin, script, { mode: 0o755 });
    const slow = listOf([{ type: 'calico', ipam: { type: 'slow-ipam' } }]);
    const adding = failure(network.runtime.add(slow, one));
    await eventually('the plugin runs', () => existsSync(started));
    const other = network.container('another');
    await add(other);
    await network.runtime.delete(slow, one);
    assert.equal((await adding).code, 11);
    await drop(other);
    await assertNothingLeft(network);
  });

  test('containers outside Kubernetes whose IDs begin alike: the second is told why not, the first goes on', async () => {
    const [one, two] = ['alike1', 'alike2'].map((name) => ({
      ...network.container(name),
      containerId: `same-beginning-${name}`,
    }));
    await add(one!);
    const { code, message } = await failure(add(two!));
    assert.equal(code, 4, '"The error message MUST contain the names of invalid variables."');
    assert.match(
      message,
      /CNI_CONTAINERID same-beginning-alike2 begins like same-beginning-alike1/,
    );
    assert.equal((await exec('DEL', two)).exit, 0);
    await network.runtime.check(LIST, one!);
    await drop(one!);
    await assertNothingLeft(network);
  });

  test('"The plugin must consult the prevResult to determine the expected interfaces and addresses."', async () => {
    const one = network.container('consult');
    const result = await add(one);
    const check = (prevResult: object) => exec('CHECK', one, { ...CONFIG, prevResult });
    assert.equal(
      (await check(result)).exit,
      0,
      '"must handle CHECK being called immediately after an ADD"',
    );
    const other = { ...result, ips: [{ address: '192.0.2.1/32', interface: 1 }] };
    assert.match((await check(other)).stdout, /192\.0\.2\.1/);
    assert.match((await check({ ...result, interfaces: [] })).stdout, /no interface eth0/);
    assert.equal(codeOf((await exec('CHECK', one)).stdout), 7, 'without prevResult');
    await drop(one);
  });

  test('"The plugin must allow for a later chained plugin to have modified networking resources, e.g. routes, on ADD."', async () => {
    const one = network.container('later');
    const result = await add(one);
    network.inside(
      one,
      'ip',
      'route',
      'add',
      '198.51.100.0/24',
      'via',
      '169.254.1.1',
      'dev',
      'eth0',
      'onlink',
    );
    network.inside(
      one,
      'ip',
      'route',
      'replace',
      'default',
      'via',
      '169.254.1.1',
      'dev',
      'eth0',
      'onlink',
      'mtu',
      '1400',
    );
    network.inside(one, 'ip', 'addr', 'add', '198.51.100.7/32', 'dev', 'eth0');
    network.inside(one, 'ip', 'link', 'set', 'eth0', 'mtu', '1400');
    network.inside(one, 'sysctl', '-qw', 'net.ipv4.conf.eth0.arp_filter=1');
    const prevResult = { ...result, routes: [{ dst: '198.51.100.0/24', gw: '169.254.1.1' }] };
    const reply = await exec('CHECK', one, { ...CONFIG, prevResult });
    assert.equal(reply.exit, 0, reply.stdout);
    await drop(one);
  });

  test('CHECK "should return an error if a resource included in the CNI Result type (interface, address or route) was created by the plugin, and is listed in prevResult, but is missing or in an invalid state"', async () => {
    const faults: [string, string[], RegExp][] = [
      ['address', ['ip', 'addr', 'flush', 'dev', 'eth0'], /address .* is missing/],
      ['down', ['ip', 'link', 'set', 'eth0', 'down'], /eth0 is missing or down/],
      ['mac', ['ip', 'link', 'set', 'eth0', 'address', '02:11:22:33:44:55'], /has MAC/],
      ['route', ['ip', 'route', 'delete', '169.254.1.1/32'], /169\.254\.1\.1\/32 is missing/],
    ];
    for (const [name, fault, message] of faults) {
      const one = network.container(`miss-${name}`);
      await add(one);
      network.inside(one, ...fault);
      const { reply } = await failure(network.runtime.check(LIST, one));
      assert.match(reply.stdout, message);
      await drop(one);
    }
  });

  test('CHECK "should return an error if other resources not tracked in the Result type such as the following are missing": firewall rules, IP reservations, the record, the host’s route', async () => {
    const one = network.container('others');
    const result = await add(one);
    const host = result.interfaces[0]!.name;
    const address = result.ips[0]!.address;
    // The agent puts it back by itself, sometimes before it is looked for.
    const isMissed = async (): Promise<boolean> => {
      network.host.exec(['ip', 'route', 'delete', address, 'dev', host]);
      const { exit, stdout } = await exec('CHECK', one, { ...CONFIG, prevResult: result });
      if (exit !== 0) assert.match(stdout, /host route .* is missing/);
      const good = async () =>
        (await exec('CHECK', one, { ...CONFIG, prevResult: result })).exit === 0;
      await eventually('it is there again', good);
      return exit !== 0;
    };
    await eventually('CHECK misses it', isMissed);
    // The chain goes with its jumps, then comes back by the agent's own repair.
    const rules = network.host.exec(['iptables-nft-save', '-t', 'filter']);
    const broken = rules.split('\n').filter((line) => !line.includes(`-tw-${host}`));
    const restore = ['ip', 'netns', 'exec', network.host.netns, 'iptables-nft-restore'];
    const { run } = await import('../lab/command.ts');
    run(restore, `${broken.join('\n')}\n`);
    const { message } = await failure(network.runtime.check(LIST, one));
    assert.match(message, new RegExp(`chain cali-tw-${host} is missing`));
    await eventually(
      'it is repaired',
      async () => (await exec('CHECK', one, { ...CONFIG, prevResult: result })).exit === 0,
      30_000,
    );
    await drop(one);
    assert.notEqual((await exec('CHECK', one, { ...CONFIG, prevResult: result })).exit, 0);
  });

  test('CHECK "should return an error if it is aware of a condition where the container is generally unreachable"', async () => {
    const one = network.container('unreachable');
    await add(one);
    network.inside(one, 'ip', 'route', 'delete', 'default');
    assert.match((await failure(network.runtime.check(LIST, one))).message, /route 0\.0\.0\.0\/0/);
    await drop(one);
  });

  test('STATUS: "A plugin must exit with a zero (success) return code if the plugin is ready to service ADD requests."', async () => {
    const reply = await network.runtime.status(LIST);
    assert.deepEqual([reply.exit, reply.stdout], [0, '']);
    const short = {
      ...LIST,
      plugins: [{ ...CALICO, ipam: { type: 'calico-ipam', assign_ipv6: 'true' } }],
    };
    const unready = await network.runtime.status(short);
    assert.equal(
      unready.exit,
      1,
      '"If the plugin knows that it is not able to service ADD requests, it must exit with a non-zero return code"',
    );
    assert.equal(codeOf(unready.stdout), 50);
    assert.match(unready.stdout, /IPv6/);
  });

  test('"Plugins should always expect other CNI operations (like ADD, DEL, etc) even if STATUS returns an error."', async () => {
    const locked = {
      kind: 'ClusterInformation',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'default' },
    };
    const key = '/calico/resources/v3/projectcalico.org/clusterinformations/default';
    await network.put(key, { ...locked, spec: { datastoreReady: false } });
    await eventually('it is locked', async () => (await network.runtime.status(LIST)).exit === 1);
    assert.equal(codeOf((await network.runtime.status(LIST)).stdout), 50);
    const one = network.container('locked');
    assert.equal((await failure(add(one))).code, 104);
    await network.put(key, { ...locked, spec: { datastoreReady: true } });
    await eventually('it is open', async () => (await network.runtime.status(LIST)).exit === 0);
    await add(one);
    await drop(one);
  });

  test('VERSION: "The plugin should output via standard-out a json-serialized version result object"', async () => {
    const reply = await exec('VERSION', undefined, { cniVersion: '1.0.0' });
    assert.equal(reply.exit, 0);
    assert.deepEqual(JSON.parse(reply.stdout), {
      cniVersion: '1.0.0',
      supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    });
  });

  test('every version that is told as supported works', async () => {
    for (const version of ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const list = listOf([CALICO], version);
      const one = network.container(`v${version.replaceAll('.', '')}`);
      const result = await network.runtime.add(list, one);
      assert.equal(result['cniVersion'], version);
      if (version >= '0.4.0') await network.runtime.check(list, one);
      await network.runtime.delete(list, one);
    }
    await assertNothingLeft(network);
  });

  test('GC: "A plugin SHOULD remove as many stale resources as possible. For example, a plugin should remove any IPAM reservations associated with attachments not in the provided list."', async () => {
    const [kept, stale, other] = ['gc1', 'gc2', 'gc3'].map((name) => network.container(name));
    await add(kept!);
    await add(stale!);
    await add({ ...kept!, ifname: 'net1' });
    const another = listOf([CALICO], '1.1.0', 'another');
    await network.runtime.add(another, other!);
    attempt(['ip', 'netns', 'delete', stale!.namespace]);
    const reply = await network.runtime.collect(LIST, [kept!]);
    assert.deepEqual([reply.exit, reply.stdout], [0, '']);
    const handles = await network.stored('/calico/ipam/v2/handle/');
    assert.deepEqual([...handles.keys()].sort(), ['another.cid-gc3', `${LIST.name}.cid-gc1`]);
    await network.runtime.check(LIST, kept!);
    await network.runtime.check(another, other!);
    assert.equal((await network.runtime.collect(LIST, [kept!])).exit, 0, 'again');
    await drop(kept!);
    await network.runtime.delete(another, other!);
    await assertNothingLeft(network);
  });

  test('error code 4: "The error message MUST contain the names of invalid variables."', async () => {
    const one = network.container('env');
    for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME']) {
      const env = { ...network.runtime.environment('ADD', one), [name]: '' };
      const reply = await network.runtime.exec('calico', env, CONFIG);
      assert.deepEqual([reply.exit, codeOf(reply.stdout)], [1, 4]);
      assert.ok(reply.stdout.includes(name));
    }
    const file = await exec('ADD', { ...one, netns: '/etc/passwd/ns' });
    assert.deepEqual([codeOf(file.stdout), file.stdout.includes('CNI_NETNS')], [4, true]);
    const home = { ...one, netns: `/run/netns/${network.host.netns}` };
    const routes = network.host.exec(['ip', 'route']);
    const own = await exec('ADD', home);
    assert.deepEqual([codeOf(own.stdout), own.stdout.includes('CNI_NETNS')], [4, true]);
    assert.equal((await exec('DEL', home)).exit, 0);
    assert.equal(network.host.exec(['ip', 'route']), routes, 'the node itself is not touched');
    const bad = await exec('FLY', one);
    assert.deepEqual([codeOf(bad.stdout), bad.stdout.includes('CNI_COMMAND')], [4, true]);
  });

  test('error code 2: "The error message MUST contain the key and value of the unsupported field."', async () => {
    const reply = await exec('ADD', network.container('field'), {
      ...CONFIG,
      device_type: 'netkit',
    });
    assert.equal(codeOf(reply.stdout), 2);
    assert.match(reply.stdout, /device_type.*netkit/);
  });

  test('error codes 1, 6 and 7: an unknown version, no JSON, a bad configuration', async () => {
    const one = network.container('codes');
    assert.equal(codeOf((await exec('ADD', one, { ...CONFIG, cniVersion: '2.0.0' })).stdout), 1);
    assert.equal(codeOf((await exec('ADD', one, { ...CONFIG, name: 'a/b' })).stdout), 7);
    assert.equal(codeOf((await exec('ADD', one, { ...CONFIG, type: '../x' })).stdout), 7);
    assert.equal(codeOf((await exec('ADD', one, 'text' as unknown as object)).stdout), 6);
  });

  test('"Plugins must handle being executed concurrently across different containers. If necessary, they must implement locking on shared resources (e.g. IPAM databases)."', async () => {
    const all = Array.from({ length: 12 }, (_, i) => network.container(`c${i}`));
    const results = await Promise.all(all.map(add));
    assert.equal(new Set(results.map(({ ips }) => ips[0]!.address)).size, all.length);
    await Promise.all(all.map(drop));
    await assertNothingLeft(network);
  });

  test('"Delegated IPAM plugins must return an abbreviated Success object. Specifically, it is missing the interfaces array, as well as the interface entry in ips."', async () => {
    const one = network.container('ipam');
    const config = { ...CONFIG, type: 'bridge' };
    const call = (command: string, more: object = {}) =>
      network.runtime.exec('calico-ipam', network.runtime.environment(command, one), {
        ...config,
        ...more,
      });
    const result = JSON.parse((await call('ADD')).stdout) as CniJson & {
      ips: { address: string }[];
    };
    const { address } = result.ips[0]!;
    assert.match(address, /\/32$/);
    assert.deepEqual(result, {
      cniVersion: '1.1.0',
      ips: [{ address }],
      routes: [{ dst: address }],
    });
    assert.equal((await call('CHECK', { prevResult: result })).exit, 0);
    assert.equal((await call('DEL')).exit, 0);
    assert.notEqual((await call('CHECK', { prevResult: result })).exit, 0);
    assert.equal(
      (await network.runtime.exec('calico-ipam', { CNI_COMMAND: 'STATUS' }, config)).exit,
      0,
    );
    await assertNothingLeft(network);
  });

  test('STATUS 50: "The plugin is not available (i.e. cannot service ADD requests)": no datastore, no agent', async () => {
    const one = network.container('down');
    await network.lab.stopEtcd();
    const reply = await network.runtime.status(LIST);
    assert.deepEqual([reply.exit, codeOf(reply.stdout)], [1, 50]);
    assert.equal((await failure(add(one))).code, 11, '"Try again later"');
    await ended(network.host.agent!, 'SIGKILL');
    assert.equal(codeOf((await network.runtime.status(LIST)).stdout), 50);
    assert.equal((await failure(add(one))).code, 11);
  });
});
