// host-local on the node's own podCIDR (`usePodCidr`), from the Kubernetes API to a ping: real agent,
// real host-local.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually } from '../lab/command.ts';
import {
  assertNothingLeft,
  listOf,
  type Network,
  openNetwork,
  startApiServer,
  WITH_OTHERS,
} from './network.ts';
import { type CniJson, type PluginConfig, PluginFailure } from './runtime.ts';

interface Result extends CniJson {
  readonly ips: readonly { address: string }[];
}

const POD_CIDRS = ['10.244.7.0/24', 'fd00:244:7::/64'];
const node = {
  metadata: { name: 'h1' },
  spec: { podCIDR: POD_CIDRS[0]!, podCIDRs: POD_CIDRS },
};

describe('host-local on the podCIDR', { timeout: 120_000 }, () => {
  let network: Network;
  let stopApiServer = (): void => {};
  before(async () => {
    network = await openNetwork(async (host) => {
      const server = await startApiServer(host, { nodes: [node] });
      stopApiServer = server.stop;
      return { KUBECONFIG: server.kubeconfig };
    });
  });
  after(async () => {
    stopApiServer();
    await network?.lab.stop();
  });

  const calico = (ipam: object): PluginConfig => ({
    type: 'calico',
    ipam: { type: 'host-local', dataDir: `${network.host.directory}/host-local`, ...ipam },
  });
  const list = (plugin: PluginConfig) => listOf([plugin], WITH_OTHERS);

  for (const [what, ipam, wanted] of [
    ['subnet', { subnet: 'usePodCidr' }, [/^10\.244\.7\.\d+\/32$/]],
    [
      'ranges of both families',
      { ranges: [[{ subnet: 'usePodCidr' }], [{ subnet: 'usePodCidrIPv6' }]] },
      [/^10\.244\.7\.\d+\/32$/, /^fd00:244:7::[0-9a-f]+\/128$/],
    ],
  ] as const) {
    test(`${what}: an address of the node’s range, traffic, CHECK, DEL`, async () => {
      const one = network.container(`cidr-${wanted.length}`);
      const plugin = calico(ipam);
      const { ips } = (await network.runtime.add(list(plugin), one)) as Result;
      assert.equal(ips.length, wanted.length);
      for (const [i, pattern] of wanted.entries()) {
        assert.match(ips[i]!.address, pattern);
        const ping = ['ping', '-c1', '-W1', ips[i]!.address.split('/')[0]!];
        const argv = ['nsenter', `--net=/run/netns/${network.host.netns}`, ...ping];
        await eventually('a ping from the host', () => attempt(argv).ok);
      }
      await network.runtime.check(list(plugin), one);
      await network.runtime.delete(list(plugin), one);
      await network.runtime.delete(list(plugin), one);
      await assertNothingLeft(network);
    });
  }
});

describe('host-local on the podCIDR of a node that has none', { timeout: 120_000 }, () => {
  test('the configuration is refused, with what to do; nothing is left', async () => {
    let stopApiServer = (): void => {};
    const network = await openNetwork(async (host) => {
      const server = await startApiServer(host, {
        nodes: [{ metadata: { name: 'h1' }, spec: {} }],
      });
      stopApiServer = server.stop;
      return { KUBECONFIG: server.kubeconfig };
    });
    try {
      const ipam = { type: 'host-local', subnet: 'usePodCidr' };
      const list = listOf([{ type: 'calico', ipam }], WITH_OTHERS);
      const refused = network.runtime.add(list, network.container('none'));
      await assert.rejects(refused, (cause: PluginFailure) => {
        assert.ok(cause instanceof PluginFailure);
        assert.equal(cause.code, 7);
        assert.match(cause.message, /this node has no such podCIDR/);
        return true;
      });
      await assertNothingLeft(network);
    } finally {
      stopApiServer();
      await network.lab.stop();
    }
  });
});
