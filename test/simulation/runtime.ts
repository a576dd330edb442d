// What a container runtime asks of its node's agent: ADD and DEL with their WorkloadEndpoint, again
// when there was no answer; and whether the answers agree with what the store held meanwhile.
import { OpError } from '../../src/base/op-error.ts';
import type { AlongsideWrites, AssignOutcome } from '../../src/ipam/allocator.io.ts';
import type { ReleaseOutcome } from '../../src/ipam/request.ts';
import { cidr, contains } from '../../src/net/cidr.ts';
import { type Family, familyOf, type Ip } from '../../src/net/ip.ts';
import { attributesOf, type Container, endpointOf, type Life } from './container.ts';
import type { Ledger } from './ledger.ts';
import type { Process } from './node.ts';
import type { Promises } from './promises.ts';
import type { Micros, Scheduler } from './scheduler.ts';

const CONFLICTS_MAX = 5;

/** A call without its answer yet. */
export interface Call {
  readonly what: 'ADD' | 'DEL';
  readonly container: Container;
  readonly process: Process;
  readonly since: Micros;
}

export interface RuntimeContext {
  readonly scheduler: Scheduler;
  readonly ledger: Ledger;
  readonly promises: Promises;
  readonly families: readonly Family[];
  readonly violation: (text: string) => void;
}

export class Runtime {
  readonly pending = new Set<Call>();
  readonly lives: Life[] = [];
  private readonly context: RuntimeContext;

  constructor(context: RuntimeContext) {
    this.context = context;
  }

  async add(container: Container): Promise<void> {
    const call = this.begin('ADD', container);
    if (!call) return;
    const { promises, scheduler } = this.context;
    container.phase = 'adding';
    if (container.keeper) container.keeper.busy = true;
    promises.asked(container.holder, {
      calledAt: scheduler.now,
      connection: call.process.connection,
      requested: container.requested ? [container.requested] : [],
      kept: container.keeper !== undefined,
      named: container.pool !== undefined,
    });
    const outcome = await this.assign(call);
    if (!this.end(call, outcome.kind === 'assigned' ? outcome.ips.join(' ') : outcome.kind)) return;
    if (container.keeper) container.keeper.busy = false;
    if (container.phase !== 'adding') return; // its DEL began meanwhile
    if (outcome.kind !== 'assigned') container.phase = 'failed';
    else this.running(call, outcome.ips, outcome.revision);
  }

  async remove(container: Container): Promise<void> {
    const call = this.begin('DEL', container);
    if (!call) return;
    container.phase = 'deleting';
    this.context.promises.waived(container.handle);
    const overlaps = [...this.pending].some(
      (other) => other !== call && other.container === container,
    );
    const outcome = await this.release(call);
    if (!this.end(call, outcome.kind)) return;
    if (container.phase !== 'deleting') return;
    container.phase = outcome.kind === 'released' && !overlaps ? 'gone' : 'doomed';
    if (outcome.kind === 'released') this.free(call);
  }

  /** The process is gone: its callers get no answer. */
  crashed(process: Process): void {
    for (const call of this.pending) {
      if (call.process !== process) continue;
      this.pending.delete(call);
      const { container } = call;
      if (container.keeper) container.keeper.busy = false;
      if (container.phase === 'adding') container.phase = 'failed';
      if (container.phase === 'deleting') container.phase = 'doomed';
    }
  }

  private begin(what: Call['what'], container: Container): Call | undefined {
    const { process } = container.node;
    if (!process) return undefined;
    const { scheduler } = this.context;
    const call: Call = { what, container, process, since: scheduler.now };
    this.pending.add(call);
    scheduler.trace.add(`${scheduler.now} ${process.connection.name} ${what} ${container.id}`);
    return call;
  }

  // False: nobody waits for this answer any more.
  private end(call: Call, answer: string): boolean {
    if (!this.pending.delete(call)) return false;
    const { scheduler } = this.context;
    const who = `${call.process.connection.name} ${call.what} ${call.container.id}`;
    scheduler.trace.add(`${scheduler.now} ${who}: ${answer}`);
    scheduler.trace.counted(`${call.what} ${/^[a-z]+$/.test(answer) ? answer : 'assigned'}`);
    return true;
  }

  private async assign(call: Call): Promise<AssignOutcome> {
    const { container, process } = call;
    const { families } = this.context;
    const { keeper, endpointKey, requested, pool } = container;
    let json = '';
    const alongside = (ips: readonly Ip[]): AlongsideWrites => {
      json = endpointOf(container, ips);
      return {
        compares: [{ key: endpointKey, revision: process.revisionOf(endpointKey) }],
        writes: [{ kind: 'put', key: endpointKey, value: json }],
      };
    };
    for (let attempt = 1; ; attempt++) {
      const outcome = await process.allocator.assign({
        handleId: container.holder,
        attributes: attributesOf(container, process, call.since),
        count4: families.includes(4) ? 1 : 0,
        count6: families.includes(6) ? 1 : 0,
        ...(requested && { requested: [requested] }),
        ...(pool && (pool.family === 4 ? { pools4: [pool.name] } : { pools6: [pool.name] })),
        ...(keeper && { keep: true }),
        alongside,
      });
      if (outcome.kind === 'assigned') {
        if (outcome.revision > 0n)
          process.learn(endpointKey, { value: json, revision: outcome.revision });
        else process.endpoints.delete(endpointKey);
        if (keeper) keeper.node = container.node;
      }
      if (outcome.kind !== 'conflict' || attempt === CONFLICTS_MAX) return outcome;
      const lost = await refreshed(process, [endpointKey]);
      if (lost) return lost;
    }
  }

  private async release({ container, process }: Call): Promise<ReleaseOutcome> {
    const key = container.endpointKey;
    for (let attempt = 1; ; attempt++) {
      const known = process.endpoints.get(key);
      const ours = known?.containerId === container.id;
      const outcome = await process.allocator.release({
        handleId: container.handle,
        alongside: {
          compares: [{ key, revision: known?.revision ?? 0n }],
          writes: ours ? [{ kind: 'delete', key }] : [],
        },
      });
      if (outcome.kind === 'released' && ours) process.endpoints.delete(key);
      if (outcome.kind !== 'conflict' || attempt === CONFLICTS_MAX) return outcome;
      const lost = await refreshed(process, [key]);
      if (lost) return lost;
    }
  }

  // The answer to ADD must have been true at some moment between call and answer, and stay true.
  private running(call: Call, ips: readonly Ip[], revision: bigint): void {
    const { container } = call;
    const { pool } = container;
    const { ledger, promises, scheduler, families, violation } = this.context;
    const told = [...ips].sort().join();
    const who = `ADD ${container.id} (${told})`;
    const holdings = ledger.heldBetween(container.holder, call.since, scheduler.now);
    if (!holdings.some((holding) => holding.ips.join() === told))
      violation(
        `${who}: at no time between call and answer were these the addresses of ${container.holder}`,
      );
    const written = ledger.endpointWrites.has(`${container.endpointKey} ${revision}`);
    if (revision > 0n && !written) violation(`${who}: its endpoint was not stored at ${revision}`);
    if (families.some((family) => ips.filter((ip) => familyOf(ip) === family).length !== 1))
      violation(`${who}: not one address a family`);
    const kept = container.keeper || promises.isWaived(container.holder);
    if (container.ips.length > 0 && !kept && [...container.ips].sort().join() !== told)
      violation(`${who}: a repeated ADD had ${container.ips.join()} before`);
    const wanted = container.requested;
    if (wanted && container.ips.length === 0 && !ips.includes(wanted))
      violation(`${who}: wanted ${wanted}`);
    if (!promises.isWaived(container.holder) && !container.node.leaving) {
      if (ledger.addressesOf(container.holder).join() !== told)
        violation(`${who}: by the time of the answer it was lost again`);
      this.unique(container.holder, ips);
    }
    if (!container.node.leaving) promises.promised(container.holder, ips);
    if (pool && container.ips.length === 0 && !ips.some((ip) => contains(cidr(pool.cidr), ip)))
      violation(`${who}: wanted ${pool.name}`);
    if (container.keeper) this.remember(container.keeper.handle, ips);
    container.phase = 'running';
    container.ips = ips;
  }

  private remember(handle: string, ips: readonly Ip[]): void {
    for (const ip of ips) {
      const sequenceNumber = this.context.ledger.sequenceNumberOf(ip);
      if (sequenceNumber !== undefined) this.lives.push({ handle, ip, sequenceNumber });
    }
  }

  // Told from the answers alone, whatever the store says.
  private unique(holder: string, ips: readonly Ip[]): void {
    for (const [other, theirs] of this.context.promises.all) {
      const shared = other === holder ? undefined : theirs.find((ip) => ips.includes(ip));
      if (shared) this.context.violation(`I1: ${shared} was answered to ${other} and ${holder}`);
    }
  }

  private free({ container, since }: Call): void {
    const { ledger, scheduler, violation } = this.context;
    const holdings = ledger.heldBetween(container.handle, since, scheduler.now);
    if (!holdings.some(({ ips }) => ips.length === 0))
      violation(`DEL ${container.id}: it held addresses all the time between call and answer`);
  }
}

async function refreshed(
  process: Process,
  keys: readonly string[],
): Promise<{ kind: 'unavailable'; error: OpError } | undefined> {
  try {
    for (const key of keys) await process.refresh(key);
    return undefined;
  } catch (cause) {
    return { kind: 'unavailable', error: new OpError('refresh', cause) };
  }
}
