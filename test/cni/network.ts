// What the tests of this folder share: one lab with one host, a runtime, containers, and a look at etcd.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { toolPath } from '../cluster/tools.ts';
import { eventually, run } from '../lab/command.ts';
import type { LabHost } from '../lab/host.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { type Attachment, type NetworkList, type PluginConfig, Runtime } from './runtime.ts';

export const NAME = 'k8s-pod-network';

export const CALICO: PluginConfig = { type: 'calico', ipam: { type: 'calico-ipam' } };

/** A list of calico and what is chained behind it. */
export const listOf = (
  plugins: readonly PluginConfig[] = [CALICO],
  cniVersion = '1.1.0',
  name = NAME,
): NetworkList => ({ cniVersion, name, plugins });

/** Plugins of Debian's age know nothing newer. */
export const WITH_OTHERS = '1.0.0';

export interface Network {
  readonly lab: Lab;
  readonly host: LabHost;
  readonly runtime: Runtime;
  /** A container with an empty network namespace. */
  container(name: string, more?: Partial<Attachment>): Attachment & { readonly namespace: string };
  /** Keys under the prefix with their values, in order. */
  stored(prefix: string): Promise<ReadonlyMap<string, Json>>;
  put(key: string, value: object): Promise<void>;
  /** A command inside a container. */
  inside(container: Attachment, ...argv: string[]): string;
}

export type Json = { readonly [key: string]: unknown };

export const IPAM = '/calico/ipam/v2/';
export const ENDPOINTS = '/calico/resources/v3/projectcalico.org/workloadendpoints/';

type Variables = Readonly<Record<string, string>>;

/** `prepare` may start on the host what the agent needs; it answers variables for the agent. */
export async function openNetwork(
  prepare: (host: LabHost) => Promise<Variables> = async () => ({}),
): Promise<Network> {
  const lab = await openLab(1);
  try {
    const host = lab.host(0);
    await host.startAgent(await prepare(host));
    const runtime = await Runtime.open(host);
    const etcdctl = [await toolPath('etcdctl'), `--endpoints=${lab.etcdEndpoint}`];
    return {
      lab,
      host,
      runtime,
      container(name, more = {}) {
        const { netns, containerId } = lab.newPod(name);
        return { containerId, netns: `/run/netns/${netns}`, namespace: netns, ...more };
      },
      async stored(prefix) {
        const { kvs = [] } = JSON.parse(
          host.exec([...etcdctl, 'get', prefix, '--prefix', '-w', 'json']),
        ) as { kvs?: { key: string; value: string }[] };
        const text = (base64: string): string => Buffer.from(base64, 'base64').toString();
        return new Map(
          kvs.map(({ key, value }) => [
            text(key).slice(prefix.length),
            JSON.parse(text(value)) as Json,
          ]),
        );
      },
      async put(key, value) {
        host.exec([...etcdctl, 'put', key, JSON.stringify(value)]);
      },
      inside: ({ netns }, ...argv) => run(['nsenter', `--net=${netns}`, ...argv]),
    };
  } catch (cause) {
    await lab.stop();
    throw cause;
  }
}

/** Handles, endpoints and host interfaces: empty after everything was deleted. */
export async function assertNothingLeft({ stored, host }: Network): Promise<void> {
  assert.deepEqual([...(await stored(`${IPAM}handle/`)).keys()], []);
  assert.deepEqual([...(await stored(ENDPOINTS)).keys()], []);
  // Links are removed in the background, many together.
  await eventually(
    'the interfaces are gone',
    () => !/^cali/m.test(host.exec(['ip', '-br', 'link'])),
  );
}

/** A Kubernetes API that the host reaches on its own loopback, with lists of objects by kind. */
export async function startApiServer(host: LabHost, lists: Readonly<Record<string, object[]>>) {
  const program = join(import.meta.dirname, 'api-server.ts');
  const argv = [`--net=/run/netns/${host.netns}`, process.execPath, program, JSON.stringify(lists)];
  const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { kubeconfig: line.toString().trim(), stop: () => void child.stdin.end() };
}
