// What must be written so that a table holds the services' rules: only chains that differ, and of the
// long lists with a rule for each service only the rules that do. Others' rules and order stay.
import type { ChainRules, TableContent } from '../../kernel/tables.ts';
import { canonicalRule, wordsOf } from './canonical.ts';

/** One table's part of what services ask for. */
export interface WantedTable {
  readonly chains: ReadonlyMap<string, ChainRules>;
  /** Our rules in the kernel's own chains, in order. */
  readonly hooks: ReadonlyMap<string, ChainRules>;
  /** Chains that must be there, whatever they hold: kubelet writes them. */
  readonly ensured?: readonly string[];
  /** A rule's place matters in the long lists too: 2018's masquerading rules stand before jumps. */
  readonly inOrder?: boolean;
  /** What this value can be told from others by. */
  readonly version?: object;
  /** How it came from another. */
  readonly changes?: TableChanges;
  /** Absent: to be counted. */
  readonly size?: TableSize;
}

export interface TableSize {
  readonly chains: number;
  readonly rules: number;
}

export interface TableChanges {
  /** The version of that other. */
  readonly from: object | undefined;
  /** Chains of services that are others now, or gone. */
  readonly chains: ReadonlyMap<string, ChainRules | undefined>;
  readonly lists: ReadonlyMap<string, ListEdits>;
  /** A list as it is now. */
  readonly listOf: (name: string) => ChainRules;
}

/** Rules of the long lists; one that stands in both has stayed. */
export interface ListEdits {
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** A table as far as it concerns services. */
export interface KnownTable {
  /** Those of a service proxy. */
  readonly chains: ReadonlyMap<string, ChainRules>;
  /** The kernel's own chains, with everybody's rules. */
  readonly hooks: ReadonlyMap<string, ChainRules>;
}

/** Chains of one service or endpoint: they go with it. */
const PER_SERVICE = /^KUBE-(SVC|SVL|SEP|EXT|FW|XLB)-/;
/** kube-proxy makes it again when it is gone, so that it learns of a flush. */
export const CANARY = 'KUBE-PROXY-CANARY';
/** The others that no one but a service proxy uses. */
const OWN: ReadonlySet<string> = new Set([
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-NODEPORTS',
  'KUBE-FORWARD',
  'KUBE-POSTROUTING',
  'KUBE-PROXY-FIREWALL',
  'KUBE-PROXY-LOCALNET',
  CANARY,
]);
/** Chains that kubelet uses too. */
const SHARED: ReadonlySet<string> = new Set(['KUBE-MARK-MASQ', 'KUBE-MARK-DROP', 'KUBE-FIREWALL']);
/** Each of their rules matches packets of its own: but for the last rule, order means nothing, unless
 *  a table says otherwise. */
const LISTS: ReadonlySet<string> = new Set([
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-FIREWALL',
]);
/** So many edits of a list cost more than writing it anew. */
const EDITS_MAX = 100;
const KERNEL_CHAINS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

/** What concerns services of a table that was read back. */
export function knownTable(content: TableContent): KnownTable {
  const of = (isOne: (name: string) => boolean): ReadonlyMap<string, ChainRules> =>
    new Map([...content].filter(([name]) => isOne(name)));
  return {
    chains: of((name) => OWN.has(name) || SHARED.has(name) || PER_SERVICE.test(name)),
    hooks: of((name) => KERNEL_CHAINS.includes(name)),
  };
}

export function sizeOfTable(wanted: WantedTable): TableSize {
  if (wanted.size) return wanted.size;
  let rules = 0;
  for (const list of wanted.chains.values()) rules += list.length;
  return { chains: wanted.chains.size, rules };
}

/** What has to be written. */
export interface Plan {
  /** Chains to be made or flushed, and filled. */
  readonly made: ReadonlyMap<string, ChainRules>;
  /** Restore lines that change lists and the kernel's own chains. */
  readonly edits: readonly string[];
  /** Chains that nothing leads to any more. */
  readonly stale: readonly string[];
  /** Rules of lists may stand in this order only. */
  readonly inOrder?: boolean;
}

/** So many lines of restore syntax. */
export function sizeOf({ made, edits, stale }: Plan): number {
  let size = made.size + edits.length + 2 * stale.length;
  for (const rules of made.values()) size += rules.length;
  return size;
}

/** As one transaction in restore syntax; empty when nothing is to do. */
export function linesOf({ made, edits, stale }: Plan): readonly string[] {
  return [
    ...flushed([...made.keys(), ...stale]),
    ...[...made].flatMap(([name, rules]) => filled(name, rules)),
    ...edits,
    ...stale.map((name) => `-X ${name}`),
  ];
}

export const flushed = (chains: readonly string[]): readonly string[] =>
  chains.map((name) => `:${name} - [0:0]`);
export const filled = (name: string, rules: ChainRules): readonly string[] =>
  rules.map((rule) => `-A ${name} ${rule}`);

/** The difference between what was read back and what shall be. */
export function planTable(known: KnownTable, wanted: WantedTable): Plan {
  const { chains } = wanted;
  const made = new Map<string, ChainRules>();
  const edits: string[] = [];
  for (const [name, list] of chains) {
    const present = known.chains.get(name);
    const isLoose = LISTS.has(name) && !wanted.inOrder;
    if (present && sameChain(present, list, isLoose)) continue;
    const few = present && isLoose ? editsOf(name, present, list) : undefined;
    if (few) edits.push(...few);
    else made.set(name, list);
  }
  for (const name of wanted.ensured ?? []) if (!known.chains.has(name)) made.set(name, []);
  const stale = [...known.chains.keys()].filter(
    (name) => (PER_SERVICE.test(name) || name === CANARY) && !chains.has(name),
  );
  for (const [name, list] of wanted.hooks)
    edits.push(...planHooks(name, known.hooks.get(name) ?? [], list));
  return { made, edits, stale, inOrder: wanted.inOrder ?? false };
}

/** The same where the kernel holds what the changes begin with. */
export function planChanges(inOrder: boolean, changes: TableChanges): Plan {
  const made = new Map<string, ChainRules>();
  const [stale, edits]: [string[], string[]] = [[], []];
  for (const [name, list] of changes.lists) {
    const { removed, added } = withoutStaying(list);
    if (inOrder || removed.length + added.length > EDITS_MAX) made.set(name, changes.listOf(name));
    else edits.push(...editLines(name, removed, added));
  }
  for (const [name, rules] of changes.chains) {
    if (rules) made.set(name, rules);
    else stale.push(name);
  }
  return { made, edits, stale, inOrder };
}

/** A rule that stands twice stays twice, or is one more or less. */
function withoutStaying(
  { removed, added }: ListEdits,
  textOf: (rule: string) => string = (rule) => rule,
): ListEdits {
  const more = (rules: readonly string[], than: readonly string[]): string[] => {
    const left = new Map<string, number>();
    for (const rule of than) left.set(textOf(rule), (left.get(textOf(rule)) ?? 0) + 1);
    return rules.filter((rule) => {
      const text = textOf(rule);
      const stays = left.get(text) ?? 0;
      if (stays > 0) left.set(text, stays - 1);
      return stays === 0;
    });
  };
  return { removed: more(removed, added), added: more(added, removed) };
}

/** Whether the kernel's rules are those that shall be there. */
function sameChain(known: ChainRules, wanted: ChainRules, isLoose: boolean): boolean {
  if (known === wanted) return true;
  if (known.length !== wanted.length) return false;
  if (known.every((rule, i) => rule === wanted[i])) return true;
  if (!isLoose) return known.every((rule, i) => same(rule, wanted[i]!));
  const { added, removed } = difference(known, wanted);
  return added.length === 0 && removed.length === 0 && lastIsSame(known, wanted);
}

const same = (a: string, b: string): boolean => a === b || canonicalRule(a) === canonicalRule(b);

const lastIsSame = (a: ChainRules, b: ChainRules): boolean => same(a.at(-1) ?? '', b.at(-1) ?? '');

/** By canonical text where the text as it stands is not found. */
function difference(known: ChainRules, wanted: ChainRules): ListEdits {
  const plain = withoutStaying({ removed: known, added: wanted });
  const isOne = plain.added.length === 0 || plain.removed.length === 0;
  return isOne ? plain : withoutStaying(plain, canonicalRule);
}

// New rules go to the head, where none has to be counted and the last one stays the last.
function editsOf(
  name: string,
  known: ChainRules,
  wanted: ChainRules,
): readonly string[] | undefined {
  const { added, removed } = difference(known, wanted);
  if (added.length + removed.length > EDITS_MAX || !lastIsSame(known, wanted)) return undefined;
  return editLines(name, removed, added);
}

const editLines = (
  name: string,
  removed: readonly string[],
  added: readonly string[],
): readonly string[] => [
  ...removed.map((rule) => `-D ${name} ${rule}`),
  ...added.toReversed().map((rule) => `-I ${name} ${rule}`),
];

const TO_POLICY = /-(?:j|-jump) cali-/;

// kube-proxy asks for presence, not for a place. Policy's own jumps stay the first; what policy accepts
// at the end of a chain, services may still refuse.
function planHooks(chain: string, known: ChainRules, wanted: ChainRules): readonly string[] {
  const present = new Set(known.map(canonicalRule));
  const missing = wanted.filter((rule) => !present.has(canonicalRule(rule)));
  const other = known.findIndex((rule) => !TO_POLICY.test(rule));
  const place = other < 0 ? known.length : other;
  return missing.toReversed().map((rule) => `-I ${chain} ${place + 1} ${rule}`);
}

/** Everything of services goes; a second time there is nothing to do. */
export function planRelease(known: KnownTable): Plan {
  const stale = [...known.chains.keys()].filter((name) => !SHARED.has(name));
  const gone = new Set(stale);
  const isOurs = (rule: string): boolean => gone.has(targetOf(rule) ?? '');
  const edits = [...known.hooks].flatMap(([chain, rules]) =>
    rules.filter(isOurs).map((rule) => `-D ${chain} ${rule}`),
  );
  return { made: new Map(), edits, stale };
}

function targetOf(rule: string): string | undefined {
  const words = wordsOf(rule);
  const at = words.findIndex((word) => ['-j', '-g', '--jump', '--goto'].includes(word));
  return at < 0 ? undefined : words[at + 1];
}
