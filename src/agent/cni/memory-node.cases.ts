// One node on memory twins, for tests of the CNI commands.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock } from '../../base/clock.io.ts';
import { openLog } from '../../base/log.io.ts';
import { type CniRequest, parseRequest } from '../../cni/request.ts';
import { memoryStore } from '../../datastore/memory.ts';
import type { Change, Store, Watcher } from '../../datastore/store.ts';
import { addPool } from '../../ipam/allocator.cases.ts';
import { openAllocator } from '../../ipam/allocator.io.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { ROOT, resourcePrefix } from '../../model/keys.ts';
import type { Ip } from '../../net/ip.ts';
import { followLocalPods } from '../pods.io.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import { DatastoreView } from '../view.ts';
import type { CniContext } from './context.ts';
import { openFlowRemoval } from './del/flow-removal.io.ts';
import { ReleaseJournal } from './del/journal.io.ts';
import { LinkRemoval } from './del/link-removal.io.ts';
import { Turns } from './turns.ts';

const CONFIG = {
  cniVersion: '0.3.0',
  name: 'k8s-pod-network',
  type: 'calico',
  ipam: { type: 'calico-ipam' },
  policy: { type: 'k8s' },
};

/** A call for the pod default/web-0; `more` stands over the configuration. */
export function request(
  command: string,
  containerId: string,
  type = 'calico',
  more: object = {},
): CniRequest {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: `/ns/${containerId}`,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0',
  };
  const check = { cniVersion: '0.4.0', prevResult: {} };
  const config = { ...CONFIG, ...(command === 'CHECK' ? check : {}), ...more };
  const parsed = parseRequest(env, JSON.stringify(config), type);
  assert.ok(parsed.ok);
  return parsed.value;
}

export interface NodeOptions {
  readonly lagMilliseconds?: number;
  readonly delayMilliseconds?: number;
  readonly kubernetes?: KubernetesApi;
  readonly deleteFlows?: (ips: readonly Ip[]) => Promise<void>;
}

/** A node on memory twins; the agent's own watch is `lagMilliseconds` late. */
export async function memoryNode(options: NodeOptions = {}) {
  const { lagMilliseconds = 0, delayMilliseconds = 1 } = options;
  const memory = memoryStore();
  await addPool(memory, '192.168.0.0/24');
  const late = (watcher: Watcher): Watcher => ({
    ...watcher,
    snapshot: (listing) => watcher.snapshot(listing),
    changes: (changes: readonly Change[], revision) =>
      void setTimeout(lagMilliseconds).then(() => watcher.changes(changes, revision)),
  });
  const store: Store = {
    get: async (key) => setTimeout(delayMilliseconds).then(() => memory.get(key)),
    list: (prefix) => memory.list(prefix),
    transaction: async (compares, writes) => {
      await setTimeout(delayMilliseconds);
      return memory.transaction(compares, writes);
    },
    watch: (prefix, watcher, signal) => memory.watch(prefix, late(watcher), signal),
    close: () => {},
  };
  const kernel = memoryKernel();
  for (const name of ['c1', 'c2', 'a.b']) kernel.addNetns(`/ns/${name}`);
  const stop = new AbortController();
  const view = new DatastoreView('n1');
  store.watch(
    ROOT,
    { snapshot: ({ items }) => view.snapshot(items), changes: (c) => view.changes(c) },
    stop.signal,
  );
  const allocator = openAllocator({ store, node: 'n1', clock: systemClock });
  await allocator.ready();
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-journal-'));
  const policies = new Set<string>();
  const policy = {
    putEndpoint: async (key: string) => void policies.add(key),
    removeEndpoint: (key: string) => void policies.delete(key),
  } as unknown as PolicyEngine;
  const context: CniContext = {
    node: 'n1',
    effectiveMtu: () => 1500,
    store,
    kernel,
    view,
    allocator,
    policy,
    tables: { read: async () => new Map() },
    ipv6Tables: undefined,
    pods: options.kubernetes && followLocalPods(options.kubernetes, 'n1', stop.signal),
    clock: systemClock,
    log: openLog('test', 'fatal'),
    failpoint: () => {},
    flows: openFlowRemoval(options.deleteFlows ?? (async () => {}), openLog('test', 'fatal')),
    journal: new ReleaseJournal(folder),
    recoverSoon: () => {},
    callCount: () => 1,
    turns: new Turns(),
    removal: new LinkRemoval(kernel, openLog('test', 'fatal')),
  };
  const endpoints = async (): Promise<number> =>
    (await memory.list(resourcePrefix('workloadendpoints'))).items.length;
  const veths = (): readonly string[] =>
    kernel
      .links()
      .filter((l) => l.name.startsWith('cali'))
      .map((l) => l.name);
  return {
    context,
    memory,
    kernel,
    allocator,
    policies,
    endpoints,
    veths,
    folder,
    done: () => {
      rmSync(folder, { recursive: true });
      stop.abort();
      allocator.close();
    },
  };
}
