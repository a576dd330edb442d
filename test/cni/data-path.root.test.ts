// The data path of a pod beyond the plain one: two families, MTU, sysctls, rogue routers, several networks, and data
// that Calico wrote.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually, run } from '../lab/command.ts';
import {
  assertNothingLeft,
  CALICO,
  ENDPOINTS,
  IPAM,
  listOf,
  type Network,
  openNetwork,
} from './network.ts';
import { ROGUE_PREFIX } from './router-advertisement.ts';
import { type Attachment, type CniJson, PluginFailure } from './runtime.ts';

interface Result extends CniJson {
  readonly interfaces: readonly { name: string; mac?: string; mtu?: number }[];
  readonly ips: readonly { address: string }[];
}

const POOLS = '/calico/resources/v3/projectcalico.org/ippools/';
const DUAL = { ...CALICO, ipam: { type: 'calico-ipam', assign_ipv6: 'true' } };
const pool6 = {
  kind: 'IPPool',
  apiVersion: 'projectcalico.org/v3',
  metadata: { name: 'six' },
  spec: { cidr: 'fd00:10::/112', blockSize: 122, nodeSelector: 'all()', futureField: 'kept' },
};

describe('the data path', { timeout: 120_000 }, () => {
  let network: Network;
  before(async () => {
    network = await openNetwork();
  });
  after(() => network?.lab.stop());

  const add = async (plugin: typeof CALICO, one: Attachment) =>
    (await network.runtime.add(listOf([plugin]), one)) as Result;
  const drop = (plugin: typeof CALICO, one: Attachment) =>
    network.runtime.delete(listOf([plugin]), one);
  const refusal = async (work: Promise<unknown>): Promise<PluginFailure> => {
    const cause = await work.catch((thrown: unknown) => thrown);
    assert.ok(cause instanceof PluginFailure, String(cause));
    return cause;
  };
  const sysctl = (key: string): string => network.host.exec(['sysctl', '-n', key]).trim();

  test('two families: all or nothing', async () => {
    const one = network.container('half');
    const { code, message } = await refusal(add(DUAL, one));
    assert.equal(code, 101);
    assert.match(message, /IPv6/);
    await assertNothingLeft(network);
  });

  test('two families: both default routes, the host end’s link-local gateway, traffic', async () => {
    await network.put(`${POOLS}six`, pool6);
    const [a, b] = [network.container('six1'), network.container('six2')];
    const first = await eventually('the pool is seen', () => add(DUAL, a).catch(() => undefined));
    const second = await add(DUAL, b);
    assert.deepEqual(
      first.ips.map(({ address }) => address.split('/')[1]),
      ['32', '128'],
    );
    const [v4, v6] = second.ips.map(({ address }) => address.split('/')[0]!);
    assert.match(network.inside(a, 'ip', 'route'), /^default via 169\.254\.1\.1 dev eth0/m);
    assert.match(
      network.inside(a, 'ip', '-6', 'route'),
      /^default via fe80::ecee:eeff:feee:eeee dev eth0/m,
    );
    const host = first.interfaces[0]!.name;
    network.host.exec(['ip6tables', '-S', `cali-tw-${second.interfaces[0]!.name}`]); // throws without it
    assert.match(
      network.host.exec(['ip', '-6', 'addr', 'show', host]),
      /fe80::ecee:eeff:feee:eeee\/64/,
    );
    for (const to of [v4!, v6!]) {
      const ping = ['nsenter', `--net=${a.netns}`, 'ping', '-c1', '-W1', to];
      await eventually(`a ping of ${to}`, () => attempt(ping).ok);
    }
    assert.ok(attempt(['ip', 'netns', 'exec', network.host.netns, 'ping', '-c1', '-W1', v6!]).ok);
    await network.runtime.check(listOf([DUAL]), a);
    const chain = `cali-tw-${host}`;
    await eventually('CHECK misses a chain of IPv6', async () => {
      const rules = [['-F', 'cali-to-wl-dispatch'], ...['-F', '-X'].map((verb) => [verb, chain])];
      for (const rule of rules) network.host.exec(['ip6tables', ...rule]);
      const { message } = await refusal(network.runtime.check(listOf([DUAL]), a));
      return message.includes(`chain ${chain} is missing in the IPv6 filter table`);
    });
    await eventually('it is repaired', () =>
      network.runtime.check(listOf([DUAL]), a).then(
        () => true,
        () => false,
      ),
    );
    network.inside(a, 'ip', '-6', 'route', 'delete', 'default');
    assert.match((await refusal(network.runtime.check(listOf([DUAL]), a))).message, /route ::\/0/);
    await drop(DUAL, a);
    await drop(DUAL, b);
    await assertNothingLeft(network);
  });

  test('sysctls of the host’s end, with and without IPv6', async () => {
    for (const plugin of [CALICO, DUAL]) {
      const one = network.container(plugin === DUAL ? 'sys6' : 'sys4');
      const host = (await add(plugin, one)).interfaces[0]!.name;
      assert.equal(sysctl(`net.ipv6.conf.${host}.accept_ra`), '0');
      assert.equal(sysctl(`net.ipv4.conf.${host}.route_localnet`), '0');
      assert.equal(sysctl(`net.ipv4.conf.${host}.proxy_arp`), '1');
      await drop(plugin, one);
    }
  });

  /** What a namespace has of IPv6, and how many router advertisements came in. */
  const heardIn = (netns: string) => {
    const inside = (...argv: string[]) => run(['nsenter', `--net=${netns}`, ...argv]);
    // Counted before any policy: the host drops what a pod has no leave to send.
    const rule = ['PREROUTING', '-p', 'icmpv6', '--icmpv6-type', '134'];
    const known = attempt(['nsenter', `--net=${netns}`, 'ip6tables', '-t', 'raw', '-C', ...rule]);
    if (!known.ok) inside('ip6tables', '-t', 'raw', '-A', ...rule);
    const counter = /^\s*(\d+) .*icmptype 134/m.exec(inside('ip6tables', '-t', 'raw', '-nvxL'));
    const state = inside('ip', '-6', 'addr') + inside('ip', '-6', 'route', 'show', 'table', 'all');
    return {
      count: Number(counter?.[1]),
      taken: state.includes(ROGUE_PREFIX) || state.includes('proto ra'),
    };
  };
  /** Sends from one namespace until two have come to the other; whether that one took anything. */
  const isTakenIn = async (from: { netns: string; interface: string }, to: string) => {
    const program = join(import.meta.dirname, 'router-advertisement.ts');
    const before = heardIn(to).count;
    const argv = ['nsenter', `--net=${from.netns}`, process.execPath, program, from.interface];
    await eventually('advertisements arrive', async () => {
      attempt(argv); // until its end has a link-local address
      return heardIn(to).count >= before + 2;
    });
    return heardIn(to).taken;
  };

  test('a rogue router’s advertisement gives a pod no route and no address, and a pod’s gives the host none', async () => {
    const host = `/run/netns/${network.host.netns}`;
    const control = network.container('ra-control');
    const link = ['link', 'add', 'ra0', 'type', 'veth', 'peer', 'name', 'eth0'];
    network.host.exec(['ip', ...link, 'netns', control.namespace]);
    network.host.exec(['ip', 'link', 'set', 'ra0', 'up']);
    network.inside(control, 'ip', 'link', 'set', 'eth0', 'up');
    const rogue = { netns: host, interface: 'ra0' };
    assert.ok(await isTakenIn(rogue, control.netns), 'an unguarded namespace takes them');
    network.host.exec(['ip', 'link', 'delete', 'ra0']);
    for (const plugin of [CALICO, DUAL]) {
      const one = network.container(plugin === DUAL ? 'ra6' : 'ra4');
      const { name } = (await add(plugin, one)).interfaces[0]!;
      assert.equal(await isTakenIn({ netns: host, interface: name }, one.netns), false, 'pod');
      assert.equal(await isTakenIn({ netns: one.netns, interface: 'eth0' }, host), false, 'host');
      await drop(plugin, one);
    }
  });

  test('MTU: the configuration’s, else that of the node’s file, which can be required', async () => {
    const file = join(network.host.directory, 'lib/mtu');
    const cases: [string, object, string | undefined, number][] = [
      ['conf', { mtu: 1400 }, '1390', 1400],
      ['file', {}, '1390', 1390],
      ['else', {}, undefined, 1500],
    ];
    for (const [name, more, text, expected] of cases) {
      if (text) writeFileSync(file, text);
      else rmSync(file, { force: true });
      const one = network.container(`mtu-${name}`);
      const result = await add({ ...CALICO, ...more }, one);
      assert.equal(result.interfaces[1]!.mtu, expected);
      assert.match(
        network.inside(one, 'ip', 'link', 'show', 'eth0'),
        new RegExp(`mtu ${expected} `),
      );
      const host = result.interfaces[0]!.name;
      assert.match(network.host.exec(['ip', 'link', 'show', host]), new RegExp(`mtu ${expected} `));
      await drop(CALICO, one);
    }
    const { code, message } = await refusal(
      add({ ...CALICO, require_mtu_file: true }, network.container('mtu-req')),
    );
    assert.deepEqual([code, /\/var\/lib\/calico\/mtu is missing/.test(message)], [11, true]);
  });

  test('allow_ip_forwarding: both families inside the pod', async () => {
    for (const allowed of [false, true]) {
      const plugin = { ...DUAL, container_settings: { allow_ip_forwarding: allowed } };
      const one = network.container(`forward-${allowed}`);
      await add(plugin, one);
      for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
        assert.equal(network.inside(one, 'sysctl', '-n', key).trim(), allowed ? '1' : '0', key);
      await drop(plugin, one);
    }
  });

  test('several interfaces, as Multus and CRI-O ask for them: two networks, names of their own, each goes alone', async () => {
    const [first, second] = [listOf([CALICO]), listOf([CALICO], '1.1.0', 'second')];
    const pod = { args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0' };
    const eth0 = network.container('multi', pod);
    const net1 = { ...eth0, ifname: 'net1' };
    const [a, b] = [
      (await network.runtime.add(first, eth0)) as Result,
      (await network.runtime.add(second, net1)) as Result,
    ];
    assert.notEqual(a.interfaces[0]!.name, b.interfaces[0]!.name);
    assert.match(
      network.inside(eth0, 'ip', 'route', 'get', '192.0.2.1'),
      /dev eth0/,
      'the first leads',
    );
    assert.deepEqual([...(await network.stored(ENDPOINTS)).keys()].sort(), [
      'default/h1-k8s-web--0-eth0',
      'default/h1-k8s-web--0-net1',
    ]);
    assert.deepEqual([...(await network.stored(`${IPAM}handle/`)).keys()].sort(), [
      'k8s-pod-network.cid-multi',
      'second.cid-multi:net1',
    ]);
    await network.runtime.check(first, eth0);
    await network.runtime.check(second, net1);
    await network.runtime.delete(second, net1);
    await network.runtime.delete(second, net1);
    await network.runtime.check(first, eth0);
    await network.runtime.delete(first, eth0);
    await assertNothingLeft(network);
  });

  test('a record that Calico wrote: fields that are missing do no harm, fields that we do not know stay', async () => {
    const key = `${ENDPOINTS}default/h1-cni-cid--old-eth0`;
    const old = {
      kind: 'WorkloadEndpoint',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'h1-cni-cid--old-eth0', namespace: 'default', generation: 3 },
      spec: {
        orchestrator: 'cni',
        node: 'h1',
        endpoint: 'eth0',
        interfaceName: 'calicid-old',
        qosControls: { dscp: 8 },
      },
      futureSection: { kept: true },
    };
    await network.put(key, old);
    const one = network.container('old');
    await eventually('it is seen and taken over', () =>
      add(CALICO, one).then(
        () => true,
        () => false,
      ),
    );
    const stored = (await network.stored(key)).get('') as unknown as typeof old & {
      metadata: { uid: string };
    };
    assert.equal(stored.metadata.generation, 3);
    assert.deepEqual(stored.spec.qosControls, { dscp: 8 });
    assert.deepEqual(stored.futureSection, { kept: true });
    assert.ok(stored.metadata.uid);
    await network.runtime.check(listOf(), one);
    await drop(CALICO, one);
    // Without a container of its own the record is whoever's asks for its deletion.
    await network.put(key, old);
    await eventually('it goes by DEL', async () => {
      await drop(CALICO, one);
      return !(await network.stored(key)).has('');
    });
    const pools = await network.stored(`${POOLS}six`);
    assert.equal((pools.get('') as unknown as typeof pool6).spec.futureField, 'kept');
    await assertNothingLeft(network);
  });
});
