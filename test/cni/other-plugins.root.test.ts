// calico beside other plugins, all of them Debian's: other IPAM under calico, calico-ipam under other
// main plugins, and portmap, bandwidth and tuning chained behind calico; with traffic.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually } from '../lab/command.ts';
import {
  assertNothingLeft,
  CALICO,
  listOf,
  type Network,
  openNetwork,
  WITH_OTHERS,
} from './network.ts';
import type { Attachment, CniJson, PluginConfig } from './runtime.ts';

interface Result extends CniJson {
  readonly interfaces: readonly { name: string; mac?: string; mtu?: number }[];
  readonly ips: readonly { address: string; interface?: number; gateway?: string }[];
  readonly routes?: readonly { dst: string }[];
}
const addressOf = (result: Result): string => result.ips[0]!.address.split('/')[0]!;

const OPEN = {
  kind: 'Profile',
  apiVersion: 'projectcalico.org/v3',
  metadata: { name: 'open' },
  spec: { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] },
};

describe('other plugins', { timeout: 240_000 }, () => {
  let network: Network;
  before(async () => {
    network = await openNetwork();
  });
  after(() => network?.lab.stop());

  const list = (plugins: readonly PluginConfig[], name?: string) =>
    listOf(plugins, WITH_OTHERS, name);
  const add = async (plugins: readonly PluginConfig[], one: Attachment) =>
    (await network.runtime.add(list(plugins), one)) as Result;
  const drop = (plugins: readonly PluginConfig[], one: Attachment) =>
    network.runtime.delete(list(plugins), one);
  // The network's profile reaches the rules by the watch.
  const pings = (one: Attachment, to: string) =>
    eventually(
      `a ping of ${to}`,
      () => attempt(['nsenter', `--net=${one.netns}`, 'ping', '-c1', '-W1', to]).ok,
    );
  const onHost = (...argv: string[]) =>
    attempt(['ip', 'netns', 'exec', network.host.netns, ...argv]);

  describe('calico with host-local', () => {
    const folder = () => `${network.host.directory}/host-local`;
    const calico = (more: object = {}, top: object = {}): PluginConfig => ({
      type: 'calico',
      ipam: { type: 'host-local', subnet: '10.77.0.0/24', dataDir: folder(), ...more },
      ...top,
    });
    const reserved = () => attempt(['ls', `${folder()}/k8s-pod-network`]).output;

    test('ADD, CHECK with the plugin’s own, DEL; pods talk by their addresses', async () => {
      const [a, b] = [network.container('hl1'), network.container('hl2')];
      const [first, second] = [await add([calico()], a), await add([calico()], b)];
      assert.match(first.ips[0]!.address, /^10\.77\.0\.\d+\/32$/);
      assert.equal(first.ips[0]!.gateway, undefined);
      await pings(a, addressOf(second));
      await network.runtime.check(list([calico()]), a);
      assert.match(reserved(), new RegExp(addressOf(first)));
      const handles = await network.stored('/calico/ipam/v2/handle/');
      assert.equal(handles.size, 0, 'nothing of it is in Calico’s IPAM');
      await drop([calico()], a);
      await drop([calico()], a);
      assert.doesNotMatch(reserved(), new RegExp(`^${addressOf(first)}$`, 'm'));
      await drop([calico()], b);
      await assertNothingLeft(network);
    });

    test('CHECK passes on what the IPAM plugin misses', async () => {
      const one = network.container('hl3');
      await add([calico()], one);
      attempt(['rm', '-r', folder()]);
      await assert.rejects(network.runtime.check(list([calico()]), one), /IPAM plugin host-local/);
      await drop([calico()], one);
    });

    test('"If, on ADD, a delegated plugin fails, the upper plugin should execute again with DEL before returning failure"; a later failure as well', async () => {
      const one = network.container('hl4');
      network.inside(one, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
      await assert.rejects(add([calico()], one), /already exists/);
      assert.doesNotMatch(reserved(), /10\.77/);
      const bad = calico({ subnet: 'nonsense' });
      await assert.rejects(add([bad], network.container('hl5')), /IPAM plugin host-local/);
      const absent = { ...calico(), ipam: { type: 'no-such-plugin' } };
      await assert.rejects(
        add([absent], network.container('hl6')),
        /no-such-plugin is not in CNI_PATH/,
      );
      await assertNothingLeft(network);
    });

    test('its routes replace the default routes; include_default_routes keeps both', async () => {
      const routes = { routes: [{ dst: '10.0.0.0/8' }] };
      for (const include of [false, true]) {
        const one = network.container(`hl-routes-${include}`);
        const plugin = calico(routes, { include_default_routes: include });
        const result = await add([plugin], one);
        assert.deepEqual(result.routes, routes.routes);
        const table = network.inside(one, 'ip', 'route');
        assert.match(table, /^10\.0\.0\.0\/8 via 169\.254\.1\.1 dev eth0/m);
        assert.equal(/^default via 169\.254\.1\.1/m.test(table), include);
        await network.runtime.check(list([plugin]), one);
        await drop([plugin], one);
      }
    });

    test('GC and STATUS are passed on: Debian’s host-local knows neither and says so', async () => {
      const newer = { ...list([calico()]), cniVersion: '1.1.0' };
      const status = await network.runtime.status(newer);
      assert.equal(status.exit, 1);
      assert.match(status.stdout, /IPAM plugin host-local/);
      const one = network.container('hl7');
      await add([calico()], one);
      const collected = await network.runtime.collect(newer, []);
      assert.match(collected.stdout, /GC: .*IPAM plugin host-local/, 'errors are reported');
      assert.equal(
        (await network.stored('/calico/resources/v3/projectcalico.org/workloadendpoints/')).size,
        0,
        'and the rest is removed',
      );
      await drop([calico()], one);
      await assertNothingLeft(network);
    });

    test('static: the address of the configuration', async () => {
      const plugin: PluginConfig = {
        type: 'calico',
        ipam: {
          type: 'static',
          addresses: [{ address: '10.78.0.5/24' }],
          dns: { nameservers: ['10.0.0.10'] },
        },
      };
      const one = network.container('static');
      const result = await add([plugin], one);
      assert.equal(result.ips[0]!.address, '10.78.0.5/32');
      assert.deepEqual(result['dns'], { nameservers: ['10.0.0.10'] });
      assert.ok(onHost('ping', '-c1', '-W1', '10.78.0.5').ok);
      await network.runtime.check(list([plugin]), one);
      await drop([plugin], one);
      await assertNothingLeft(network);
    });
  });

  describe('calico-ipam under other main plugins', () => {
    const pool = { gateway: '192.168.255.254', routes: [{ dst: '0.0.0.0/0' }] };
    const cases: [string, PluginConfig, object][] = [
      ['bridge', { type: 'bridge', bridge: 'br-test' }, { routes: [{ dst: '192.168.0.0/16' }] }],
      [
        'bridge that is the gateway',
        { type: 'bridge', bridge: 'br-gw', isGateway: true, isDefaultGateway: false },
        pool,
      ],
      ['ptp', { type: 'ptp' }, pool],
    ];
    for (const [name, plugin, ipam] of cases) {
      test(`${name}: traffic, CHECK, DEL`, async () => {
        const plugins = [{ ...plugin, ipam: { type: 'calico-ipam', ...ipam } }];
        const [a, b] = ['a', 'b'].map((x) =>
          network.container(`${plugin.type}-${name.length}-${x}`),
        );
        await add(plugins, a!);
        // Debian's bridge cannot be checked without a gateway.
        if (plugin['isGateway'] || plugin.type === 'ptp')
          await network.runtime.check(list(plugins), a!);
        const second = await add(plugins, b!);
        const ipamCheck = { ...list(plugins), ...plugins[0], prevResult: second };
        const environment = network.runtime.environment('CHECK', b!);
        const checked = await network.runtime.exec('calico-ipam', environment, ipamCheck);
        assert.equal(checked.exit, 0, checked.stdout);
        assert.match(addressOf(second), /^192\.168\./);
        await pings(a!, addressOf(second));
        assert.equal((await network.stored('/calico/ipam/v2/handle/')).size, 2);
        for (const one of [a!, b!, a!]) await drop(plugins, one);
        await assertNothingLeft(network);
      });
    }
  });

  describe('chained behind calico', () => {
    test('portmap: a connection to the host’s port reaches the pod', async () => {
      const plugins = [
        CALICO,
        { type: 'portmap', snat: true, capabilities: { portMappings: true } },
      ];
      const portMappings = [{ hostPort: 8081, containerPort: 80, protocol: 'tcp' }];
      const one = { ...network.container('portmap'), capabilities: { portMappings } };
      // What comes from elsewhere is let in by the network's profile, which stands in for policy here.
      await network.put('/calico/resources/v3/projectcalico.org/profiles/open', OPEN);
      const open = list(plugins, 'open');
      await network.runtime.add(open, one); // Debian's portmap cannot be checked without IPv6
      const server = serveIn(one);
      try {
        const url = `http://${network.host.address}:8081/`;
        const fabric = network.lab.hosts[0]!.netns.replace(/-h1$/, '-fab');
        const reached = () =>
          attempt(['ip', 'netns', 'exec', fabric, 'curl', '-sf', '--max-time', '2', url]);
        await eventually('the pod answers', () => reached().output.includes('hello'));
      } finally {
        server.kill();
      }
      await network.runtime.delete(open, one);
      assert.doesNotMatch(onHost('iptables-nft-save', '-t', 'nat').output, /8081/);
      await assertNothingLeft(network);
    });

    test('bandwidth: the rate stands on the host’s interface, and traffic keeps to it', async () => {
      const plugins = [CALICO, { type: 'bandwidth', capabilities: { bandwidth: true } }];
      const bandwidth = {
        ingressRate: 1_000_000,
        ingressBurst: 800_000,
        egressRate: 1_000_000,
        egressBurst: 800_000,
      };
      const one = { ...network.container('bandwidth'), capabilities: { bandwidth } };
      const result = await add(plugins, one);
      const [{ name }] = result.interfaces as [{ name: string }];
      assert.match(onHost('tc', 'qdisc', 'show', 'dev', name).output, /tbf .*rate 1Mbit/);
      await network.runtime.check(list(plugins), one);
      assert.ok(onHost('ping', '-c1', '-W1', addressOf(result)).ok);
      // A burst goes at once, the rest at 1 Mbit/s: 2.4 s. Without a rate it takes some milliseconds.
      const server = serveIn(one, 400_000);
      try {
        const download = ['curl', '-sf', '-o', '/dev/null', '-w', '%{size_download} %{time_total}'];
        const url = `http://${addressOf(result)}/`;
        const took = await eventually('the pod serves', () => {
          const { ok, output } = onHost(...download, url);
          return ok ? output.split(' ').map(Number) : undefined;
        });
        assert.equal(took[0], 400_000);
        assert.ok(took[1]! > 2, `${took[1]} s`);
      } finally {
        server.kill();
      }
      await drop(plugins, one);
      await assertNothingLeft(network);
    });

    // As the chart chains it, with the binary of our image: a kernel without traffic control must not
    // matter to a pod that asks for no rate. Without CAP_NET_ADMIN nothing can be changed at all.
    test('bandwidth for a pod without a rate: nothing is asked of the kernel', async () => {
      const program = await toolPath('bandwidth');
      const one = network.container('no-rate');
      const shipped = listOf([CALICO], '0.3.0');
      const prevResult = await network.runtime.add(shipped, one);
      const config = { cniVersion: '0.3.0', name: shipped.name, type: 'bandwidth', prevResult };
      const powerless = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', program];
      const call = (command: string) =>
        spawnSync('nsenter', [`--net=/run/netns/${network.host.netns}`, ...powerless], {
          input: JSON.stringify(config),
          encoding: 'utf8',
          env: { ...process.env, ...network.runtime.environment(command, one), CNI_PATH: '/none' },
        });
      const added = call('ADD');
      assert.deepEqual([added.status, JSON.parse(added.stdout)], [0, prevResult], added.stdout);
      const deleted = call('DEL');
      assert.equal(deleted.status, 0, deleted.stdout);
      assert.doesNotMatch(onHost('ip', '-br', 'link').output, /^bwp/m);
      await network.runtime.delete(shipped, one);
      await assertNothingLeft(network);
    });

    test('tuning: MAC, MTU and a sysctl; traffic goes on and CHECK is content', async () => {
      const mac = '02:aa:bb:cc:dd:ee';
      const tuning = { type: 'tuning', mac, mtu: 1300, sysctl: { 'net.core.somaxconn': '500' } };
      const plugins = [CALICO, tuning];
      const one = network.container('tuning');
      const result = await add(plugins, one);
      assert.equal(network.inside(one, 'sysctl', '-n', 'net.core.somaxconn').trim(), '500');
      assert.match(
        network.inside(one, 'ip', 'link', 'show', 'eth0'),
        /mtu 1300[\s\S]*02:aa:bb:cc:dd:ee/,
      );
      await network.runtime.check(list(plugins), one);
      const other = network.container('tuned-peer');
      await add([CALICO], other);
      await pings(other, addressOf(result));
      await drop(plugins, one);
      await drop([CALICO], other);
      await assertNothingLeft(network);
    });
  });

  /** An HTTP server inside the container, of `hello` and blanks up to so many bytes. */
  function serveIn({ netns }: Attachment, bytes = 5) {
    const serve = (make: typeof createServer, text: string) =>
      make((_request, response) => response.end(text)).listen(80);
    const source = `(${String(serve)})(require('node:http').createServer, 'hello'.padEnd(${bytes}))`;
    return spawn('nsenter', [`--net=${netns}`, process.execPath, '-e', source], {
      stdio: 'ignore',
    });
  }
});
