// From kube-proxy to us and back, while somebody asks a service without a pause: nobody notices.
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toolPath } from '../cluster/tools.ts';
import { eventually } from '../lab/command.ts';
import { type FakeApiServer, startFakeApiServer } from '../lab/fake-api-server.ts';
import type { TestNetns } from '../lab/netns.ts';
import { exec } from './policy-pods.ts';
import { NODE_ADDRESS, PORT, service, slice, withServicesNode } from './services-node.ts';

const VIP = '10.96.0.20';
const REQUESTS = 10_000;
const WHO = join(import.meta.dirname, 'who.ts');

/** Makes a port of this process's loopback one of a namespace's too. */
function bridge(netns: TestNetns, port: string, folder: string): readonly ChildProcess[] {
  const path = join(folder, 'bridge');
  const start = (command: string, ...words: string[]) =>
    spawn(command, words, { stdio: 'ignore', detached: true });
  const listen = `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr`;
  return [
    start('socat', `UNIX-LISTEN:${path},fork`, `TCP:127.0.0.1:${port}`),
    start('ip', 'netns', 'exec', netns.name, 'socat', listen, `UNIX-CONNECT:${path}`),
  ];
}

const kubeProxyConfig = (kubeconfig: string): string => `
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.65.0.0/16
hostnameOverride: node1
clientConnection:
  kubeconfig: ${kubeconfig}
  contentType: application/json
  acceptContentTypes: application/json
conntrack: {maxPerCore: 0, min: 0}
iptables: {localhostNodePorts: false}
featureGates: {WatchListClient: false}
`;

async function startKubeProxy(node: TestNetns, api: FakeApiServer): Promise<ChildProcess> {
  const config = join(api.account, 'kube-proxy.yaml');
  writeFileSync(config, kubeProxyConfig(api.kubeconfig));
  const words = ['netns', 'exec', node.name, await toolPath('kube-proxy'), '--config', config];
  return spawn('ip', words, { stdio: 'ignore' });
}

/** Until a service with this address is in the node's tables. */
const served = (node: TestNetns, address: string): Promise<boolean> =>
  eventually(
    `${address} is served`,
    () => exec(node, 'iptables-nft-save', '-t', 'nat').includes(`-d ${address}/32`),
    60_000,
  );

async function ended(child: ChildProcess): Promise<void> {
  const end = once(child, 'exit');
  child.kill('SIGTERM');
  await end;
}

/** Asks from a namespace all the time; the answer ends it and tells what went wrong. */
async function asking({ name }: TestNetns): Promise<() => Promise<readonly string[]>> {
  const child = fork(WHO, ['load', VIP, '80', String(REQUESTS)], {
    execPath: 'ip',
    execArgv: ['netns', 'exec', name, process.execPath],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return async () => {
    const result = once(child, 'message');
    child.send('stop');
    const [{ asked, failures }] = (await result) as [{ asked: number; failures: string[] }];
    assert.ok(asked >= REQUESTS, `asked ${asked} times`);
    return failures;
  };
}

test('taken over from kube-proxy and handed back, 10,000 requests at least: none fails', () =>
  withServicesNode(['a', 'b', 'c'], async ({ node, pods, kubernetes, start }) => {
    const api = await startFakeApiServer();
    const bridges = bridge(node, new URL(api.url).port, api.account);
    const started: ChildProcess[] = [];
    try {
      const put = (name: string, ip: string): void => {
        const ports = [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT }];
        const object = service(name, { clusterIP: ip, clusterIPs: [ip], ports });
        const endpoints = slice(name, pods.slice(0, 2));
        api.put('services' as 'wholeservices', object);
        api.put('endpointslices' as 'wholeendpointslices', endpoints);
        kubernetes.put('wholeservices', object);
        kubernetes.put('wholeendpointslices', endpoints);
      };
      put('web', VIP);
      const addresses = [{ type: 'InternalIP', address: NODE_ADDRESS }];
      api.put('nodes', { metadata: { name: 'node1' }, spec: {}, status: { addresses } } as never);
      started.push(await startKubeProxy(node, api));
      await served(node, VIP);
      const stop = await asking(pods[2]!.netns);
      // As described: our agent starts beside kube-proxy, then kube-proxy is removed.
      const { engine } = await start({}, { CALICO_SERVICE_PROXY_TAKE_OVER: 'true' });
      await ended(started[0]!);
      put('another', '10.96.0.21');
      await served(node, '10.96.0.21');
      // And back: our rules stay until kube-proxy has written its own.
      await engine.close();
      put('third', '10.96.0.22');
      started.push(await startKubeProxy(node, api));
      await served(node, '10.96.0.22');
      assert.deepEqual(await stop(), []);
    } finally {
      for (const child of started) child.kill('SIGKILL');
      for (const { pid } of bridges) if (pid) process.kill(-pid, 'SIGKILL');
      api.close();
    }
  }));
