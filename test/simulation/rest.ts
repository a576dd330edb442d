// After the faults: every call is answered, the audit finds nothing, free addresses are given, and
// when every container is gone nothing of it is left.
import { auditIpam } from '../../src/ipam/audit.ts';
import { parseKey, ROOT } from '../../src/model/keys.ts';
import { parseWorkloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { cidr, contains, ipAt, sizeOf } from '../../src/net/cidr.ts';
import type { Cluster } from './cluster.ts';
import { Container } from './container.ts';
import { holderOf } from './ledger.ts';

const MINUTE = 60_000_000;
const ATTEMPTS_MAX = 50;

export async function comeToRest(cluster: Cluster): Promise<void> {
  const { network, runtime, scheduler } = cluster;
  cluster.note('peace');
  network.calm();
  const failed = (): boolean => cluster.violations.length > 0;
  const phases = [
    async () => {
      await scheduler.run(failed, scheduler.now + 10 * MINUTE);
      if (failed()) return;
      for (const { what, container } of runtime.pending)
        cluster.violation(`${what} ${container.id} is never answered`);
      if (cluster.removals > 0) cluster.violation('a node is never cleaned up');
      for (const node of cluster.nodes) if (!node.process) node.start();
      await audit(cluster);
    },
    async () => {
      cluster.openUp();
      await scheduler.run(failed, scheduler.now + 30 * MINUTE);
      await addWhereSpace(cluster);
    },
    () => removeAll(cluster),
    () => nothingLeft(cluster),
  ];
  for (const phase of phases) if (!failed()) await phase();
}

async function audit(cluster: Cluster): Promise<void> {
  const { items } = await cluster.store.list(ROOT);
  // What was borrowed before affinity became strict stays.
  const found = auditIpam(items).filter((text) => !text.startsWith('I7'));
  for (const text of found) cluster.violation(`audit: ${text}`);
  for (const { name, process } of cluster.nodes) {
    const own = items.filter(({ key }) => nodeOf(key) === name);
    // Nobody is alarmed where all is well: as the agent asks, and over two looks as it does. A newer
    // container of the pod may have the endpoint: the address of the former goes with its DEL.
    const expected = new Set(
      cluster.containers.flatMap(({ phase, handle }) => (phase === 'gone' ? [] : [handle])),
    );
    for (let look = 0; look < 2; look++) {
      for (const text of process?.allocator.violations(own) ?? []) {
        const waits = text.startsWith('I3') && expected.has(text.split(' ').at(-1)!);
        if (!text.startsWith('I7') && !waits) cluster.violation(`${name} sees: ${text}`);
      }
    }
  }
}

const nodeOf = (path: string): string | undefined => {
  const key = parseKey(path);
  return key?.kind === 'namespaced' ? parseWorkloadEndpointName(key.name)?.node : undefined;
};

/** Free addresses of a family, over blocks that exist and those that could be made. */
function spaceOf(cluster: Cluster, family: 4 | 6): number {
  let space = 0;
  for (const pool of cluster.plan.pools) {
    if (pool.family !== family) continue;
    const range = cidr(pool.cidr);
    space += Number(sizeOf(range));
    for (const ip of cluster.ledger.holders.keys()) if (contains(range, ip)) space--;
  }
  return space;
}

async function addWhereSpace(cluster: Cluster): Promise<void> {
  const { containers, nodes, plan, runtime } = cluster;
  for (const node of nodes.slice(0, 6)) {
    if (cluster.violations.length > 0) return;
    const space = plan.families.map((family) => spaceOf(cluster, family));
    const container = new Container(`c${containers.length}`, node, 'fresh');
    containers.push(container);
    await during(cluster, runtime.add(container));
    const given = container.phase === 'running';
    if (!given && space.every((count) => count > 0))
      cluster.violation(`${container.id} on ${node.name} got none of ${space.join(' and ')} free`);
    if (given && space.some((count) => count === 0))
      cluster.violation(`${container.id} on ${node.name} got one though none was free`);
    if (given) await during(cluster, runtime.remove(container));
    await quiet(cluster);
  }
}

async function removeAll(cluster: Cluster): Promise<void> {
  const { containers, runtime, keepers, nodes } = cluster;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const left = containers.filter(({ phase }) => phase !== 'gone' && phase !== 'new');
    if (left.length === 0) break;
    await during(cluster, Promise.all(left.map((container) => runtime.remove(container))));
  }
  if (cluster.violations.length > 0) return;
  const left = containers.find(({ phase }) => phase !== 'gone' && phase !== 'new');
  if (left) cluster.violation(`${left.id} cannot be removed (${left.phase})`);
  await quiet(cluster);
  await sweep(cluster);
  const allocator = nodes[0]!.process!.allocator;
  for (const { handle } of keepers) {
    cluster.promises.waived(handle, false);
    await during(cluster, allocator.release({ handleId: handle }));
  }
}

// What a request brought that came after everybody had given it up: the agent's own sweep finds it.
async function sweep(cluster: Cluster): Promise<void> {
  const { containers, ledger, plan, runtime } = cluster;
  for (const container of containers) {
    const endpoint = ledger.endpoints.get(container.endpointKey)?.containerId === container.id;
    if (!endpoint && ledger.addressesOf(container.handle).length === 0) continue;
    if (plan.faults.lateRequest === 0) cluster.violation(`${container.id} is leaked`);
    await during(cluster, runtime.remove(container));
  }
}

async function nothingLeft(cluster: Cluster): Promise<void> {
  const { ledger } = cluster;
  await quiet(cluster);
  for (const { name, process } of cluster.nodes) {
    for (const handle of process!.allocator.handles().keys())
      cluster.violation(`${name} believes that ${handle} is left`);
  }
  for (const handle of ledger.handles.keys()) cluster.violation(`handle ${handle} is left`);
  for (const key of ledger.endpoints.keys()) cluster.violation(`${key} is left`);
  for (const [range, block] of ledger.blocks) {
    for (const ordinal of block.allocations.keys()) {
      const holder = holderOf(block, ordinal);
      if (holder) cluster.violation(`${ipAt(range, ordinal)} is left to ${holder}`);
    }
  }
  await audit(cluster);
}

// Everybody has heard of everything.
async function quiet({ scheduler, violations }: Cluster): Promise<void> {
  await scheduler.run(() => violations.length > 0, scheduler.now + MINUTE);
}

// Virtual time passes until the work is done.
async function during(cluster: Cluster, work: Promise<unknown>): Promise<void> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  const { scheduler } = cluster;
  await scheduler.run(() => done || cluster.violations.length > 0, scheduler.now + 10 * MINUTE);
  if (!done && cluster.violations.length === 0) cluster.violation('a call is never answered');
}
