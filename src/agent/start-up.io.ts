// What an agent does before it serves: learn its name and address, and see to it that the datastore
// holds the node, a pool and the records that every cluster has. Each step may be repeated: while
// the datastore does not answer, the agent waits; what no waiting can mend is thrown.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import type { Result } from '../base/result.ts';
import type { Store } from '../datastore/store.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { checkIpPoolSpec, type IpPoolSpec } from '../model/ip-pool.ts';
import { printIpam } from '../model/ipam.ts';
import { IPAM_CONFIG_KEY, resourceKey, resourcePrefix } from '../model/keys.ts';
import type { NodeSpec } from '../model/node.ts';
import { parseResource } from '../model/resource.ts';
import { cidr, cidrFamily, type InterfaceAddress } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import type { Environment } from './environment.ts';
import type { Started } from './start-up/address-watch.io.ts';
import { clusterRecords } from './start-up/cluster-records.ts';
import { DEFAULT_POOL, defaultPool } from './start-up/default-pool.ts';
import { lookAround } from './start-up/look.io.ts';
import { decideAddress, planAddress } from './start-up/node-address.ts';
import {
  addressTaken,
  asNumberOf,
  holderOf,
  nextNodeSpec,
  storedAddress,
} from './start-up/own-node.ts';
import { putIfAbsent, readNodes, writeRecord } from './start-up/records.io.ts';

export type { Started } from './start-up/address-watch.io.ts';
export { encapsulationProblem } from './start-up/encapsulation.ts';

export interface StartUpParts {
  readonly store: Store;
  readonly kernel: Kernel;
  readonly kubernetes: KubernetesApi | undefined;
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Folder of the file `nodename`, which other programs on the node read. */
  readonly stateFolder?: string;
  /** Between two attempts to reach the datastore. */
  readonly retryMilliseconds?: number;
}

const STATE_FOLDER = '/var/lib/calico';
const RETRY_MILLISECONDS = 1000;

/** Throws what ends the start: a setting that cannot be used, no address, an address taken. */
export async function startUp(parts: StartUpParts): Promise<Started> {
  const { env, store, kernel, log, stateFolder = STATE_FOLDER } = parts;
  const node = nodeName(env, stateFolder);
  const plan = usable(planAddress(env));
  const asNumber = usable(asNumberOf(env));
  const pool = usable(defaultPool(env, addressesOf(kernel)));
  const kubernetesNode = env['CALICO_K8S_NODE_REF'] || node;
  const around = await lookAround(parts, plan, kubernetesNode);
  const nodes = await patiently(parts, 'read the nodes', () => readNodes(store));
  const stored = storedAddress(nodes.find(({ metadata }) => metadata.name === node)?.spec);
  const decision = usable(decideAddress(plan, stored, around));
  const address = decision.address;
  if (decision.warning) log.warn(decision.warning);
  log.info({ node, address: address && `${address.ip}/${address.prefixLength}` }, decision.because);
  const writeNode = (withAddress: InterfaceAddress | undefined): Promise<void> =>
    patiently(parts, 'write the node', () =>
      writeRecord<NodeSpec>(parts, {
        key: resourceKey('nodes', node),
        kind: 'Node',
        name: node,
        next: (spec) =>
          nextNodeSpec(spec ?? {}, { address: withAddress, asNumber, kubernetesNode }),
        withStatus: true,
      }),
    );
  const holder = address && holderOf(address, node, nodes);
  const mayShare = env['DISABLE_NODE_IP_CHECK']?.toLowerCase() === 'true';
  if (holder && !mayShare) {
    if (decision.detected && stored) await writeNode(undefined);
    throw new Error(addressTaken(holder, address));
  }
  await writeNode(address);
  await patiently(parts, 'write the default pool', () => writePool(parts, pool));
  await patiently(parts, 'write the cluster records', () => writeClusterRecords(parts, node));
  mkdirSync(stateFolder, { recursive: true });
  writeFileSync(join(stateFolder, 'nodename'), node);
  return { node, kubernetesNode, nodeAddress: address, plan, mayShare };
}

/** Calico's order: NODENAME, the name of an earlier start, HOSTNAME, the machine's own. */
function nodeName(env: Environment, stateFolder: string): string {
  const file = join(stateFolder, 'nodename');
  const earlier = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  const name =
    env['NODENAME']?.trim() ||
    earlier ||
    (env['HOSTNAME']?.trim() || hostname().trim()).toLowerCase();
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(
    `NODENAME: '${name}' must be lower-case letters, digits, '-' and '.', as Kubernetes names nodes`,
  );
}

/** Repeats while the datastore does not answer, once a second; every tenth failure is logged. */
async function patiently<T>(
  { log, signal, retryMilliseconds = RETRY_MILLISECONDS }: StartUpParts,
  what: string,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (cause) {
      if (!(cause instanceof OpError)) throw cause;
      if (failures % 10 === 0)
        log.warn({ cause: cause.message }, `${what}: waiting for the datastore`);
      await sleep(retryMilliseconds, undefined, { signal });
    }
  }
}

async function writePool(parts: StartUpParts, spec: IpPoolSpec | undefined): Promise<void> {
  if (!spec) return;
  const { items } = await parts.store.list(resourcePrefix('ippools'));
  const families = items.map(({ value }) => {
    const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', value, checkIpPoolSpec);
    return pool.ok ? cidrFamily(cidr(pool.value.spec.cidr)) : undefined;
  });
  if (families.includes(4)) return;
  await writeRecord(parts, {
    key: resourceKey('ippools', DEFAULT_POOL),
    kind: 'IPPool',
    name: DEFAULT_POOL,
    next: (stored) => (stored ? undefined : spec),
  });
}

async function writeClusterRecords(parts: StartUpParts, node: string): Promise<void> {
  const guid = randomUUID().replaceAll('-', '');
  for (const { kind, plural, name, spec, onlyNew } of clusterRecords(parts.env, node, guid)) {
    await writeRecord(parts, {
      key: resourceKey(plural, name),
      kind,
      name,
      next: (stored) => (stored && onlyNew ? undefined : { ...stored, ...missing(spec, stored) }),
      withStatus: kind === 'Tier',
    });
  }
  await putIfAbsent(parts.store, IPAM_CONFIG_KEY, printIpam({ auto_allocate_blocks: true }));
}

const missing = (wanted: object, stored: object | undefined): object =>
  Object.fromEntries(Object.entries(wanted).filter(([name]) => !(name in (stored ?? {}))));

const addressesOf = (kernel: Kernel): readonly Ip[] => kernel.addresses().map(({ ip }) => ip);

function usable<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}
