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
import { BACKEND_ANNOTATION, type NodeSpec } from '../model/node.ts';
import { parseResource } from '../model/resource.ts';
import { cidr, cidrFamily, type InterfaceAddress, printInterfaceAddress } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { Environment } from './environment.ts';
import type { Started } from './start-up/address-watch.io.ts';
import { clusterRecords } from './start-up/cluster-records.ts';
import { DEFAULT_POOL, defaultPool } from './start-up/default-pool.ts';
import { lookAround } from './start-up/look.io.ts';
import {
  type AddressDecision,
  type AddressPlan,
  decideAddress,
  planAddress,
} from './start-up/node-address.ts';
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
  const plans = FAMILIES.map((family) => usable(planAddress(env, family)));
  const asNumber = usable(asNumberOf(env));
  const pool = usable(defaultPool(env, addressesOf(kernel)));
  const kubernetesNode = env['CALICO_K8S_NODE_REF'] || node;
  const nodes = await patiently(parts, 'read the nodes', () => readNodes(store));
  const former = nodes.find(({ metadata }) => metadata.name === node)?.spec;
  const found: FoundAddress[] = [];
  for (const plan of plans) {
    const around = await lookAround(parts, plan, kubernetesNode);
    const stored = storedAddress(former, plan.family);
    const decision = usable(decideAddress(plan, stored, around));
    if (decision.warning) log.warn(decision.warning);
    found.push({ plan, stored, decision });
  }
  const [four, six] = found as [FoundAddress, FoundAddress];
  log.info({ node, address: textOf(four) }, four.decision.because);
  if (textOf(six)) log.info({ node, address: textOf(six) }, six.decision.because);
  const writeNode = (without?: FoundAddress): Promise<void> =>
    patiently(parts, 'write the node', () =>
      writeRecord<NodeSpec>(parts, {
        key: resourceKey('nodes', node),
        kind: 'Node',
        name: node,
        next: (spec) =>
          nextNodeSpec(spec ?? {}, {
            addresses: decided(found, without),
            asNumber,
            kubernetesNode,
          }),
        annotations: { [BACKEND_ANNOTATION]: backendOf(env) },
        withStatus: true,
      }),
    );
  const mayShare = env['DISABLE_NODE_IP_CHECK']?.toLowerCase() === 'true';
  for (const each of mayShare ? [] : found) {
    const { address, detected } = each.decision;
    const holder = address && holderOf(address, node, nodes);
    if (!holder) continue;
    if (detected && each.stored) await writeNode(each);
    throw new Error(addressTaken(holder, address));
  }
  await writeNode();
  await patiently(parts, 'write the default pool', () => writePool(parts, pool));
  await patiently(parts, 'write the cluster records', () => writeClusterRecords(parts, node));
  mkdirSync(stateFolder, { recursive: true });
  writeFileSync(join(stateFolder, 'nodename'), node);
  const [ipv4, ipv6] = [four, six].map(({ plan, decision }) => ({
    nodeAddress: decision.address,
    plan,
  }));
  return { node, kubernetesNode, ...ipv4!, ipv6: ipv6!, mayShare };
}

const FAMILIES: readonly Family[] = [4, 6];

/** For other nodes' speakers: they do not wait for one that does not run. */
function backendOf({ CALICO_NETWORKING_BACKEND: backend }: Environment): string | undefined {
  return backend && backend !== 'bird' ? backend : undefined;
}

/** Of a family. */
interface FoundAddress {
  readonly plan: AddressPlan;
  readonly stored: InterfaceAddress | undefined;
  readonly decision: AddressDecision;
}

const textOf = ({ decision: { address } }: FoundAddress): string | undefined =>
  address && printInterfaceAddress(address);

/** What the Node is to say, without what another node has. */
const decided = (found: readonly FoundAddress[], without: FoundAddress | undefined) =>
  new Map(
    found
      .filter(({ plan }) => plan.kind !== 'keep')
      .map((one) => [one.plan.family, one === without ? undefined : one.decision.address]),
  );

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
