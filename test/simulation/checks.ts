// The invariants of IPAM at one commit. What spans the whole store at rest is audited elsewhere
// (src/ipam/audit.ts); here is what only the step from one state to the next shows.
import { structureProblems } from '../../src/ipam/block.ts';
import type { IpamBlock } from '../../src/model/ipam.ts';
import { blockKey, handleKey } from '../../src/model/keys.ts';
import { containsCidr, ipAt } from '../../src/net/cidr.ts';
import type { Ip } from '../../src/net/ip.ts';
import { type BlockChange, type Effect, holderOf, type Ledger } from './ledger.ts';
import type { Connection } from './network.ts';
import type { Plan } from './plan.ts';
import type { Promises } from './promises.ts';
import type { Micros } from './scheduler.ts';
import { isEnabled, isReserved, isSelected, type SeenSettings } from './settings.ts';

export interface CheckContext {
  readonly ledger: Ledger;
  readonly promises: Promises;
  readonly plan: Plan;
  /** Wall-clock milliseconds of a clock that never jumps. */
  readonly millis: () => number;
  readonly settingsOf: (connection: Connection) => SeenSettings;
  /** Whether the address was ever reserved in this run. */
  readonly everReserved: (ip: Ip) => boolean;
}

/** Wall-clock milliseconds of each address's last release. */
type Releases = Map<Ip, number>;

const MILLISECOND = 1_000;
const LAG_MAX = 1_000_000;

export class Checks {
  private readonly context: CheckContext;
  private readonly releases: Releases = new Map();
  /** The cooldown was changed: when an address is free again depends on who knew it. */
  private relaxed = false;

  constructor(context: CheckContext) {
    this.context = context;
  }

  /** The operator changed the configuration. */
  relax(): void {
    this.relaxed = true;
  }

  /** Violations of one commit, each in a sentence. */
  commit(effect: Effect): readonly string[] {
    const { ledger } = this.context;
    return [
      ...ledger.unreadable.splice(0),
      ...ledger.doubles.splice(0),
      ...this.unguarded(effect),
      ...effect.blocks.flatMap((change) => [
        ...this.structure(change),
        ...this.sequence(change, effect),
        ...this.moves(change, effect),
      ]),
      ...this.ownership(effect),
      ...this.counts(effect),
      ...this.endpoints(effect),
      ...this.broken(effect),
    ];
  }

  // Safety rests on compare-and-swap: no block and no handle is written unseen.
  private unguarded({ commit, blocks, handles }: Effect): readonly string[] {
    const compared = new Set(commit.compares.map(({ key }) => key));
    const written = commit.writes.map(({ key }) => key);
    const keys = [...blocks.map(({ cidr }) => blockKey(cidr)), ...handles.map(handleKey)];
    return keys
      .filter((key) => written.includes(key) && !compared.has(key))
      .map((key) => `${key} was written without a compare`);
  }

  private structure({ cidr, before, after }: BlockChange): readonly string[] {
    if (!after) return []; // what was in it is missed by its handles
    const others = before ? [] : [...this.context.ledger.blocks.keys()];
    const overlap = others.find(
      (other) => other !== cidr && (containsCidr(other, cidr) || containsCidr(cidr, other)),
    );
    return [
      ...(after.cidr === cidr ? [] : [`block ${cidr} says it is ${after.cidr}`]),
      ...(overlap ? [`I1: block ${cidr} overlaps block ${overlap}`] : []),
      ...structureProblems(after).map((problem) => `block ${cidr}: ${problem}`),
    ];
  }

  // Against a former life: unless a clock jumped, or the claim was under way already when that ended.
  private sequence({ cidr, before, after }: BlockChange, { commit }: Effect): readonly string[] {
    if (!after) return [];
    const former = this.context.ledger.retired.get(cidr);
    const steady = this.context.plan.faults.clockJump === 0;
    const comparable = steady && former && commit.sentAt > former.at + MILLISECOND;
    const last = before ? BigInt(before.sequenceNumber) : comparable && former.sequenceNumber;
    return last === undefined || last === false || BigInt(after.sequenceNumber) > last
      ? []
      : [`block ${cidr}: sequence number ${after.sequenceNumber} after ${last}`];
  }

  private moves(change: BlockChange, effect: Effect): readonly string[] {
    const { cidr, before, after } = change;
    const wrong: string[] = [];
    const taken: number[] = [];
    const size = (after ?? before)?.allocations.length ?? 0;
    for (let ordinal = 0; ordinal < size; ordinal++) {
      const was = before && holderOf(before, ordinal);
      const is = after && holderOf(after, ordinal);
      if (was === is) continue;
      const ip = ipAt(cidr, ordinal);
      if (was) this.releases.set(ip, this.releasedAt(after, ordinal));
      if (!is || !after) continue;
      if (!was) wrong.push(...this.cooled(ip));
      if (this.context.promises.intents.get(is)?.requested.includes(ip)) continue;
      taken.push(ordinal);
      wrong.push(...this.obeyed(effect, after, ip, is));
    }
    if (before && after) wrong.push(...this.order(before, after, taken));
    return wrong;
  }

  private releasedAt(block: IpamBlock | undefined, ordinal: number): number {
    const index = block?.allocations[ordinal];
    const stamp = typeof index === 'number' ? block?.attributes[index]?.releasedAt : undefined;
    return stamp === undefined ? this.context.millis() : Date.parse(stamp);
  }

  // I8, where the setting and the clocks stay as they are.
  private cooled(ip: Ip): readonly string[] {
    const { plan, millis } = this.context;
    const seconds = plan.config?.ipCooldownSeconds ?? 0;
    const released = this.releases.get(ip);
    if (this.relaxed || plan.faults.clockJump > 0 || released === undefined) return [];
    const rested = millis() - released;
    return rested >= seconds * 1000 - 1
      ? []
      : [`I8: ${ip} was given again after ${rested} ms of ${seconds} s`];
  }

  // I8: what has been free longest goes first. A reserved address stays where it is.
  private order(before: IpamBlock, after: IpamBlock, taken: readonly number[]): readonly string[] {
    const place = (ordinal: number): number => {
      const at = before.unallocated.indexOf(ordinal);
      return at < 0 ? Number.POSITIVE_INFINITY : at;
    };
    const last = Math.max(-1, ...taken.map(place));
    const passed = after.unallocated.filter(
      (ordinal) => place(ordinal) < last && !this.context.everReserved(ipAt(after.cidr, ordinal)),
    );
    return passed.map(
      (ordinal) => `I8: ${ipAt(after.cidr, ordinal)} was free longer than what was given`,
    );
  }

  // I7, pools and reservations, as the node knew them since the request came in.
  private obeyed(effect: Effect, block: IpamBlock, ip: Ip, handle: string): readonly string[] {
    const { promises, settingsOf } = this.context;
    const intent = promises.intents.get(handle);
    if (!intent) return [`${ip} was given to ${handle}, who never asked`];
    if (intent.kept) return [];
    const { by } = effect.commit;
    const seen = settingsOf(by);
    const since = intent.calledAt;
    const stranger = block.affinity !== `host:${by.node}`;
    const strict = stranger && seen.alwaysSince(since, (s) => s.config?.strict_affinity === true);
    const off = seen.alwaysSince(since, (s) => !isEnabled(s, ip));
    const reserved = seen.alwaysSince(since, (s) => isReserved(s, ip));
    const elsewhere = !intent.named && seen.alwaysSince(since, (s) => !isSelected(s, ip));
    const half = !stranger && this.knownHalf(block, since);
    return [
      ...(half ? [`I4: ${by.name} took ${ip} of a block that it has not confirmed`] : []),
      ...(elsewhere ? [`${by.name} took ${ip} of a pool that does not select it`] : []),
      ...(strict ? [`I7: ${by.name} took ${ip} in a block of ${block.affinity}`] : []),
      ...(off ? [`${by.name} took ${ip} of a disabled pool`] : []),
      ...(reserved ? [`${by.name} took ${ip}, which is reserved`] : []),
    ];
  }

  // Not confirmed for longer than a watch lags, where none breaks.
  private knownHalf({ cidr }: IpamBlock, asked: Micros): boolean {
    const { watchBreak, outage } = this.context.plan.faults;
    const since = this.context.ledger.unconfirmed.get(cidr);
    return watchBreak + outage === 0 && since !== undefined && since < asked - LAG_MAX;
  }

  // I4: one owner, and block and affinity agree.
  private ownership({ affinities }: Effect): readonly string[] {
    const { ledger } = this.context;
    return affinities.flatMap((cidr) => {
      const owners = [...(ledger.owners.get(cidr) ?? [])].map((node) => `host:${node}`);
      const block = ledger.blocks.get(cidr);
      const agrees = owners.length === 0 || (block && owners[0] === block.affinity);
      if (owners.length > 1) return [`I4: block ${cidr} belongs to ${owners.join(' and ')}`];
      return agrees ? [] : [`I4: block ${cidr} of ${block?.affinity}, affinity of ${owners[0]}`];
    });
  }

  // I5, exactly: our writers change handle and block in one transaction.
  private counts({ handles }: Effect): readonly string[] {
    const { ledger } = this.context;
    return handles.flatMap((id) => {
      const held = ledger.held.get(id) ?? new Map<string, Set<Ip>>();
      const counted = Object.entries(ledger.handles.get(id)?.block ?? {});
      const less = [...held].filter(
        ([cidr, ips]) => ips.size > 0 && ledger.handles.get(id)?.block[cidr] !== ips.size,
      );
      const more = counted.filter(([cidr]) => !(held.get(cidr as never)?.size ?? 0));
      return [...less, ...more].map(([cidr]) => `I5: handle ${id} and block ${cidr} differ`);
    });
  }

  // I1 and I2 for the endpoints of everything that moved.
  private endpoints({ blocks, endpoints }: Effect): readonly string[] {
    const { ledger } = this.context;
    const moved = blocks.flatMap(({ cidr, before, after }) =>
      [...((after ?? before)?.allocations.keys() ?? [])].map((ordinal) => ipAt(cidr, ordinal)),
    );
    const written = endpoints.flatMap((key) => ledger.endpoints.get(key)?.ips ?? []);
    return [...new Set([...moved, ...written])].flatMap((ip) => {
      const keys = [...(ledger.endpointsByIp.get(ip) ?? [])];
      if (keys.length > 1) return [`I1: ${ip} belongs to ${keys.join(' and ')}`];
      const endpoint = keys[0] === undefined ? undefined : ledger.endpoints.get(keys[0]);
      const holder = ledger.holders.get(ip);
      const own = holder?.endsWith(`.${endpoint?.containerId}`) || this.isKept(holder);
      return !endpoint || own ? [] : [`I2: ${ip} of ${keys[0]} is held by ${holder ?? 'nobody'}`];
    });
  }

  private isKept(handle: string | undefined): boolean {
    return handle !== undefined && this.context.promises.intents.get(handle)?.kept === true;
  }

  // What a caller was given stays his until he asks for its release.
  private broken({ handles }: Effect): readonly string[] {
    const { ledger, promises } = this.context;
    return handles.flatMap((handle) => {
      const held = ledger.addressesOf(handle);
      return promises
        .of(handle)
        .filter((ip) => !held.includes(ip))
        .map((ip) => `${handle} was given ${ip} and lost it without a DEL`);
    });
  }
}
