// A whole cluster in virtual time: the store, the wires, the nodes, their containers, and the checks
// that watch every commit.
import type { Clock } from '../../src/base/clock.ts';
import { type MemoryStore, memoryStore } from '../../src/datastore/memory.ts';
import { releaseNode } from '../../src/ipam/release-node.io.ts';
import { printIpam } from '../../src/model/ipam.ts';
import type { IpamConfig } from '../../src/model/ipam-config.ts';
import { IPAM_CONFIG_KEY, resourceKey } from '../../src/model/keys.ts';
import { API_VERSION, printResource } from '../../src/model/resource.ts';
import { type Cidr, cidr, contains, hostCidr, ipAt, sizeOf } from '../../src/net/cidr.ts';
import type { Ip } from '../../src/net/ip.ts';
import { Checks } from './checks.ts';
import type { Container, Keeper } from './container.ts';
import { type Effect, Ledger } from './ledger.ts';
import { type Connection, LAST_WORDS, Network } from './network.ts';
import { MachineClock, SimulatedNode } from './node.ts';
import { drawConfig, drawPlan, type Faults, type Plan, type PoolPlan, ZONES } from './plan.ts';
import { Promises } from './promises.ts';
import { Random } from './random.ts';
import { Runtime } from './runtime.ts';
import { Scheduler } from './scheduler.ts';
import { SeenSettings } from './settings.ts';
import type { Trace } from './trace.ts';

const SECOND = 1_000_000;
const KEEPERS = 3;
const CHANGES = ['config', 'noConfig', 'pool', 'pool', 'reserve', 'unreserve', 'labels'] as const;
const RELEASES_MAX = 1_000;

export class Cluster {
  readonly random: Random;
  readonly plan: Plan;
  readonly scheduler = new Scheduler();
  readonly store: MemoryStore = memoryStore();
  readonly ledger = new Ledger();
  readonly promises = new Promises();
  readonly network: Network;
  readonly runtime: Runtime;
  readonly nodes: SimulatedNode[];
  readonly containers: Container[] = [];
  readonly keepers: readonly Keeper[];
  readonly violations: string[] = [];
  commits = 0;
  /** Clean-ups of removed nodes under way. */
  removals = 0;
  private readonly checks: Checks;
  private readonly reserved: Cidr[] = [];
  private readonly disabled = new Set<string>();
  private controllers = 0;
  /** Nothing limits any more. */
  private open = false;

  /** `faults` take the place of those that the seed draws. */
  constructor(seed: number, faults: Partial<Faults> = {}) {
    this.random = new Random(seed);
    const drawn = drawPlan(this.random);
    this.plan = { ...drawn, faults: { ...drawn.faults, ...faults } };
    const { scheduler, ledger, promises, plan, random } = this;
    this.network = new Network(scheduler, random, this.store, plan.faults, (commit) => {
      this.commits++;
      const effect = ledger.apply(commit, scheduler.now);
      countBlocks(scheduler.trace, effect);
      for (const text of this.checks.commit(effect)) this.violation(text);
    });
    const steady: Clock = new MachineClock(this.network);
    this.checks = new Checks({
      ledger,
      promises,
      plan,
      millis: () => steady.date().getTime(),
      settingsOf: (connection) => this.settingsOf(connection),
      everReserved: (ip) => this.reserved.some((range) => contains(range, ip)),
    });
    const violation = (text: string): void => this.violation(text);
    this.runtime = new Runtime({ scheduler, ledger, promises, families: plan.families, violation });
    for (const pool of plan.pools) this.putPool(pool);
    if (plan.config) this.putConfig(plan.config);
    for (const name of plan.nodes) this.labelNode(name, this.random.of(ZONES));
    this.nodes = plan.nodes.map((name) => new SimulatedNode(this.network, name));
    this.keepers = Array.from({ length: KEEPERS }, (_, i) => ({
      handle: `k8s-pod-network.default-web-${i}`,
      node: undefined,
      busy: false,
    }));
  }

  violation(text: string): void {
    this.scheduler.trace.add(`${this.scheduler.now} VIOLATION ${text}`);
    this.violations.push(text);
  }

  note(text: string): void {
    this.scheduler.trace.add(`${this.scheduler.now} ${text}`);
  }

  crash(node: SimulatedNode): void {
    for (const process of node.crash()) {
      this.scheduler.trace.counted('crash');
      this.runtime.crashed(process);
    }
  }

  /** For some seconds the node has two processes. */
  overlap(node: SimulatedNode): void {
    const former = node.succeed();
    if (!former) return;
    this.scheduler.trace.counted('two processes');
    this.scheduler.after(this.random.integer(0, 5 * SECOND), () => {
      former.connection.die();
      this.scheduler.after(LAST_WORDS, () => this.runtime.crashed(former));
      if (node.former === former) node.former = undefined;
    });
  }

  /** In runs without late requests the next life begins after the last words of the former. */
  restart(node: SimulatedNode): void {
    const early = this.plan.faults.lateRequest > 0;
    const delay = early
      ? this.random.integer(0, SECOND)
      : LAST_WORDS + this.random.integer(0, SECOND);
    this.scheduler.after(delay, () => {
      if (!node.process && !node.leaving) node.start();
    });
  }

  /** The node leaves for good: kube-controllers give back what it held; a new one takes its name. */
  async removeNode(node: SimulatedNode): Promise<void> {
    if (node.leaving) return;
    node.leaving = true;
    this.removals++;
    this.note(`${node.name} leaves`);
    const zombie = this.random.chance(0.3);
    if (!zombie) this.crash(node);
    this.waive(node);
    if (zombie) await this.cleanUp(node, 1);
    this.crash(node);
    await this.scheduler.sleep(LAST_WORDS + 4 * SECOND); // nothing of it is on the wire any more
    this.waive(node);
    await this.cleanUp(node, RELEASES_MAX);
    this.checkRemoved(node);
    this.scheduler.trace.counted('node removed');
    for (const container of this.containersOf(node)) container.phase = 'gone';
    this.removals--;
    node.start();
  }

  private containersOf(node: SimulatedNode): readonly Container[] {
    return this.containers.filter((container) => container.node === node);
  }

  private waive(node: SimulatedNode): void {
    for (const container of this.containersOf(node)) this.promises.waived(container.handle);
  }

  private async cleanUp(node: SimulatedNode, attempts: number): Promise<void> {
    const clock = new MachineClock(this.network);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const connection = this.network.connect('controller', ++this.controllers);
      try {
        const { addresses, blocks } = await releaseNode(connection, node.name, clock);
        this.note(`${node.name} cleaned up: ${addresses} addresses, ${blocks} blocks`);
        return;
      } catch (cause) {
        this.note(`${node.name} not cleaned up: ${String(cause)}`);
        await this.scheduler.sleep(SECOND);
      } finally {
        connection.die();
      }
    }
    if (attempts > 1) this.violation(`${node.name} cannot be cleaned up`);
  }

  private checkRemoved({ name }: SimulatedNode): void {
    for (const [range, owners] of this.ledger.owners)
      if (owners.has(name)) this.violation(`${name} is gone and owns ${range}`);
    for (const [range, { affinity }] of this.ledger.blocks)
      if (affinity === `host:${name}`)
        this.violation(`${name} is gone and block ${range} names it`);
    for (const [ip, handle] of this.ledger.holders) {
      const intent = this.promises.intents.get(handle);
      if (intent?.connection.node === name && !intent.kept)
        this.violation(`${name} is gone and ${handle} holds ${ip}`);
    }
  }

  private settingsOf(connection: Connection): SeenSettings {
    const node = this.nodes.find(({ name }) => name === connection.node);
    const process = [node?.process, node?.former].find((one) => one?.connection === connection);
    return process?.settings ?? new SeenSettings(connection.node);
  }

  changeSettings(): void {
    this.checks.relax();
    const pool = this.random.of(this.plan.pools);
    const change = this.random.of(CHANGES);
    if (change === 'config') this.putConfig(drawConfig(this.random));
    else if (change === 'pool') this.togglePool(pool);
    else if (change === 'reserve') this.reserve(pool);
    else if (change === 'labels')
      this.labelNode(this.random.of(this.nodes).name, this.random.of(ZONES));
    else {
      this.note(change);
      const some = resourceKey('ipreservations', 'some');
      this.store.delete(change === 'noConfig' ? IPAM_CONFIG_KEY : some);
    }
  }

  /** Everything that limits is taken back. */
  openUp(): void {
    this.note('settings back to their defaults');
    this.checks.relax();
    this.open = true;
    this.disabled.clear();
    for (const pool of this.plan.pools) this.putPool(pool);
    this.store.delete(IPAM_CONFIG_KEY);
    this.store.delete(resourceKey('ipreservations', 'some'));
  }

  private togglePool(pool: PoolPlan): void {
    if (!this.disabled.delete(pool.name)) this.disabled.add(pool.name);
    this.putPool(pool);
  }

  private reserve(pool: PoolPlan): void {
    const range = cidr(pool.cidr);
    const ordinals = [0, 1].map(() => this.random.integer(0, Number(sizeOf(range)) - 1));
    const reservedCIDRs = ordinals.map((ordinal) => hostCidr(ipAt(range, ordinal)));
    this.reserved.push(...reservedCIDRs);
    this.note(`reserved ${reservedCIDRs.join(' ')}`);
    const spec = { reservedCIDRs };
    this.putResource('ipreservations', 'IPReservation', { name: 'some' }, spec);
  }

  private labelNode(name: string, zone: string): void {
    this.note(`${name} is in zone ${zone}`);
    this.putResource('nodes', 'Node', { name, labels: { zone } }, {});
  }

  private putConfig(config: IpamConfig): void {
    this.note(`configuration ${JSON.stringify(config)}`);
    this.store.put(IPAM_CONFIG_KEY, printIpam(config));
  }

  private putPool({ name, cidr, blockSize, zone }: PoolPlan): void {
    const disabled = this.disabled.has(name);
    const nodeSelector = zone && !this.open ? `zone == '${zone}'` : 'all()';
    this.note(`pool ${name} ${cidr} ${blockSize} ${nodeSelector}${disabled ? ' disabled' : ''}`);
    const spec = { cidr, blockSize, nodeSelector, ...(disabled && { disabled }) };
    this.putResource('ippools', 'IPPool', { name }, spec);
  }

  private putResource(
    plural: 'ippools' | 'ipreservations' | 'nodes',
    kind: 'IPPool' | 'IPReservation' | 'Node',
    metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> },
    spec: object,
  ): void {
    const value = printResource({ kind, apiVersion: API_VERSION, metadata, spec });
    this.store.put(resourceKey(plural, metadata.name), value);
  }

  /** A random address of the pools. */
  anyAddress(): Ip {
    const pool = cidr(this.random.of(this.plan.pools).cidr);
    return ipAt(pool, this.random.integer(0, Number(sizeOf(pool)) - 1));
  }
}

function countBlocks(trace: Trace, { blocks, commit }: Effect): void {
  for (const { before, after } of blocks) {
    if (!before && after) trace.counted('block claimed');
    if (before && !after) trace.counted('block deleted');
    if (!before || !after) continue;
    if (before.affinity && after.affinity && before.affinity !== after.affinity)
      trace.counted('block taken over');
    const grew = after.attributes.length > before.attributes.length;
    if (grew && after.affinity !== `host:${commit.by.node}`) trace.counted('borrowed');
  }
}
