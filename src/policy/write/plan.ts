// What must be written so that the kernel holds what is desired, and nothing more: chains compare
// by their rules' hash comments, so a restarted agent writes nothing where nothing has changed.
// One table's plan is one transaction; there is no moment at which half of it holds.
import type { IpSet, IpSetChange, IpSetMeta, TableContent } from '../../kernel/tables.ts';
import type { Desired, DesiredTable } from '../desired.ts';
import { type Members, memberChange } from '../members/members.ts';
import { CHAIN_PREFIX, spareSetName } from '../render/names.ts';
import { hashOf, type RenderedChain, type RenderedRule } from '../render/rule.ts';

/** A chain of ours as the kernel holds it. Foreign rules in it have the empty hash. */
export interface KnownChain {
  readonly hashes: readonly string[];
  /** What we wrote, when it was us. */
  readonly rendered?: RenderedChain;
}

interface KnownRule {
  readonly ours: boolean;
  readonly hash: string;
  readonly text: string;
}

/** A table as far as it concerns us. */
export interface KnownTable {
  readonly chains: ReadonlyMap<string, KnownChain>;
  /** Others' chains that hold rules of ours, and all kernel chains. */
  readonly hooks: ReadonlyMap<string, readonly KnownRule[]>;
}

export interface TablePlan {
  /** Restore syntax; empty when nothing is to do. */
  readonly lines: readonly string[];
  /** The table once they are committed. */
  readonly after: KnownTable;
}

const KERNEL_CHAINS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

/** What concerns us of a table that was read back. */
export function knownTable(content: TableContent): KnownTable {
  const chains = new Map<string, KnownChain>();
  const hooks = new Map<string, readonly KnownRule[]>();
  for (const [name, texts] of content) {
    if (name.startsWith(CHAIN_PREFIX)) {
      chains.set(name, { hashes: texts.map((text) => hashOf(text) ?? '') });
      continue;
    }
    const rules = texts.map(knownRule);
    if (KERNEL_CHAINS.includes(name) || rules.some(({ ours }) => ours)) hooks.set(name, rules);
  }
  return { chains, hooks };
}

// A jump into our chains is ours even without a hash: nobody else may hold on to them.
function knownRule(text: string): KnownRule {
  const hash = hashOf(text);
  const ours = hash !== undefined || /(?:^| )(?:-j|-g|--jump|--goto) cali-/.test(text);
  return { ours, hash: hash ?? '', text };
}

/** The difference as one transaction. */
export function planTable(known: KnownTable, desired: DesiredTable): TablePlan {
  const changed: RenderedChain[] = [];
  for (const chain of desired.chains.values())
    if (!sameChain(known.chains.get(chain.name), chain)) changed.push(chain);
  const unused: string[] = [];
  for (const name of known.chains.keys()) if (!desired.chains.has(name)) unused.push(name);
  unused.sort();
  const hooks = new Map(known.hooks);
  const hookLines: string[] = [];
  const names = [...hooks.keys(), ...desired.inserts.keys(), ...desired.appends.keys()];
  for (const name of new Set(names)) {
    const inserts = desired.inserts.get(name) ?? [];
    const appends = desired.appends.get(name) ?? [];
    const rules = hooks.get(name) ?? [];
    if (hooksAreRight(rules, inserts, appends)) continue;
    hookLines.push(...hookEdits(name, rules, inserts, appends));
    const foreign = rules.filter(({ ours }) => !ours);
    hooks.set(name, [...inserts.map(asKnown), ...foreign, ...appends.map(asKnown)]);
  }
  const lines = [
    ...[...changed.map(({ name }) => name), ...unused].map((name) => `:${name} - [0:0]`),
    ...changed.flatMap(({ name, rules }) => rules.map(({ text }) => `-A ${name} ${text}`)),
    ...hookLines,
    ...unused.map((name) => `-X ${name}`),
  ];
  return { lines, after: { chains: afterwards(known, desired, unused), hooks } };
}

/** Whether the kernel holds the chain as it shall be. */
export function sameChain(known: KnownChain | undefined, chain: RenderedChain): boolean {
  if (!known) return false;
  if (known.rendered === chain) return true;
  return sameHashes(known.hashes, chain.rules);
}

const sameHashes = (hashes: readonly string[], rules: readonly RenderedRule[]): boolean =>
  hashes.length === rules.length && rules.every(({ hash }, i) => hash === hashes[i]);

// Most chains are what they were: a copy of all of them is cheap, and only the others are entered.
function afterwards(
  known: KnownTable,
  desired: DesiredTable,
  unused: readonly string[],
): KnownTable['chains'] {
  const chains = new Map(known.chains);
  for (const name of unused) chains.delete(name);
  for (const [name, rendered] of desired.chains)
    if (chains.get(name)?.rendered !== rendered)
      chains.set(name, { hashes: rendered.rules.map(({ hash }) => hash), rendered });
  return chains;
}

const asKnown = ({ hash, text }: RenderedRule): KnownRule => ({ ours: true, hash, text });

// Inserted rules must stand first; appended ones only need to be there, in order.
function hooksAreRight(
  rules: readonly KnownRule[],
  inserts: readonly RenderedRule[],
  appends: readonly RenderedRule[],
): boolean {
  const first = rules.slice(0, inserts.length).map(({ hash }) => hash);
  const rest = rules.slice(inserts.length).filter(({ ours }) => ours);
  return (
    sameHashes(first, inserts) &&
    sameHashes(
      rest.map(({ hash }) => hash),
      appends,
    )
  );
}

// Deleted by text, never by number: others may insert between our reading and our writing.
const hookEdits = (
  chain: string,
  rules: readonly KnownRule[],
  inserts: readonly RenderedRule[],
  appends: readonly RenderedRule[],
): readonly string[] => [
  ...rules.filter(({ ours }) => ours).map(({ text }) => `-D ${chain} ${text}`),
  ...inserts.toReversed().map(({ text }) => `-I ${chain} ${text}`),
  ...appends.map(({ text }) => `-A ${chain} ${text}`),
];

/** What is known of a set; the members are the same object as desired when we wrote it. */
interface KnownSet {
  readonly meta: Pick<IpSetMeta, 'maxElements'>;
  readonly members: Members;
}

export type KnownSets = ReadonlyMap<string, KnownSet>;

export const knownSets = (sets: readonly IpSet[]): KnownSets =>
  new Map(sets.map((set) => [set.name, { meta: set, members: set.members }]));

export interface SetsPlan {
  /**
   * Before the tables: a rule may not name a set that is missing or empty. Worked out while they
   * are taken, set by set; undefined after each.
   */
  readonly before: Iterable<IpSetChange | undefined>;
  /** After them: members that no rule may count on any more; whole when `before` is taken. */
  readonly after: readonly IpSetChange[];
  /** Sets that nothing refers to once the tables are written. */
  readonly unused: readonly string[];
}

export function planSets(known: KnownSets, desired: Desired['ipSets']): SetsPlan {
  const after: IpSetChange[] = [];
  const unused = [...known.keys()].filter((name) => !desired.has(name));
  return { before: changesBefore(known, desired, after), after, unused };
}

function* changesBefore(
  known: KnownSets,
  desired: Desired['ipSets'],
  after: IpSetChange[],
): Generator<IpSetChange | undefined, void> {
  for (const [name, { meta, members }] of desired) {
    const present = known.get(name);
    if (present && present.meta.maxElements !== meta.maxElements) {
      yield* writtenAnew(known, meta, members);
      continue;
    }
    if (present?.members === members) continue;
    if (!present) yield { kind: 'create', set: meta };
    const { added, removed } = memberChange(present?.members, members);
    for (const member of added) yield { kind: 'add', name, member };
    for (const member of removed) after.push({ kind: 'delete', name, member });
    yield undefined;
  }
}

// A set keeps the limit that it was made with: another one takes its place, in one moment.
function* writtenAnew(
  known: KnownSets,
  meta: IpSetMeta,
  members: Members,
): Generator<IpSetChange | undefined, void> {
  const { name } = meta;
  const other = spareSetName(meta.family === 'inet' ? 4 : 6, known);
  yield { kind: 'create', set: { ...meta, name: other } };
  for (const member of members) yield { kind: 'add', name: other, member };
  yield { kind: 'swap', name, other };
  yield { kind: 'destroy', name: other };
  yield undefined;
}

/** The sets once the plan is carried out; unused ones are still there. */
export function setsAfter(known: KnownSets, desired: Desired['ipSets']): KnownSets {
  const sets = new Map(known);
  for (const [name, set] of desired) sets.set(name, set);
  return sets;
}
