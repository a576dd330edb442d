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
}

/** A table as far as it concerns services. */
export interface KnownTable {
  /** Those of a service proxy; the very list that was wanted, when we wrote it. */
  readonly chains: ReadonlyMap<string, ChainRules>;
  /** The kernel's own chains, with everybody's rules. */
  readonly hooks: ReadonlyMap<string, ChainRules>;
}

export interface TablePlan {
  /** Restore syntax; empty when nothing is to do. */
  readonly lines: readonly string[];
  /** The table once they are committed. */
  readonly after: KnownTable;
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

/** The difference as one transaction. */
export function planTable(known: KnownTable, wanted: WantedTable): TablePlan {
  const made: string[] = [];
  const rules: string[] = [];
  for (const [name, list] of wanted.chains) {
    const present = known.chains.get(name);
    const isLoose = LISTS.has(name) && !wanted.inOrder;
    if (present && sameChain(present, list, isLoose)) continue;
    const edits = present && isLoose ? editsOf(name, present, list) : undefined;
    if (!edits) made.push(`:${name} - [0:0]`);
    rules.push(...(edits ?? list.map((rule) => `-A ${name} ${rule}`)));
  }
  const ensured = (wanted.ensured ?? []).filter((name) => !known.chains.has(name));
  made.push(...ensured.map((name) => `:${name} - [0:0]`));
  const stale = [...known.chains.keys()].filter(
    (name) => (PER_SERVICE.test(name) || name === CANARY) && !wanted.chains.has(name),
  );
  const hooks = new Map(known.hooks);
  const hookLines: string[] = [];
  for (const [name, list] of wanted.hooks) {
    const { lines, after } = planHooks(name, hooks.get(name) ?? [], list);
    hookLines.push(...lines);
    hooks.set(name, after);
  }
  const chains = new Map(known.chains);
  for (const name of stale) chains.delete(name);
  for (const [name, list] of wanted.chains) chains.set(name, list);
  for (const name of ensured) chains.set(name, []);
  return {
    lines: [
      ...made,
      ...stale.map((name) => `:${name} - [0:0]`),
      ...rules,
      ...hookLines,
      ...stale.map((name) => `-X ${name}`),
    ],
    after: { chains, hooks },
  };
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
function difference(known: ChainRules, wanted: ChainRules) {
  const [before, after] = [new Set(known), new Set(wanted)];
  const added = wanted.filter((rule) => !before.has(rule));
  const removed = known.filter((rule) => !after.has(rule));
  if (added.length === 0 || removed.length === 0) return { added, removed };
  const [addedTexts, removedTexts] = [added, removed].map((r) => new Set(r.map(canonicalRule)));
  return {
    added: added.filter((rule) => !removedTexts!.has(canonicalRule(rule))),
    removed: removed.filter((rule) => !addedTexts!.has(canonicalRule(rule))),
  };
}

// New rules go to the head, where none has to be counted and the last one stays the last.
function editsOf(
  name: string,
  known: ChainRules,
  wanted: ChainRules,
): readonly string[] | undefined {
  const { added, removed } = difference(known, wanted);
  if (added.length + removed.length > EDITS_MAX || !lastIsSame(known, wanted)) return undefined;
  // A rule that stands there twice is no longer ours alone.
  if (known.length - removed.length + added.length !== wanted.length) return undefined;
  return [
    ...removed.map((rule) => `-D ${name} ${rule}`),
    ...added.toReversed().map((rule) => `-I ${name} ${rule}`),
  ];
}

// kube-proxy asks for presence, not for a place. Policy's own rules stay the first.
function planHooks(
  chain: string,
  known: ChainRules,
  wanted: ChainRules,
): { readonly lines: readonly string[]; readonly after: ChainRules } {
  const present = new Set(known.map(canonicalRule));
  const missing = wanted.filter((rule) => !present.has(canonicalRule(rule)));
  const foreign = known.findIndex((rule) => !rule.includes('"cali:'));
  const place = foreign < 0 ? known.length : foreign;
  return {
    lines: missing.toReversed().map((rule) => `-I ${chain} ${place + 1} ${rule}`),
    after: [...known.slice(0, place), ...missing, ...known.slice(place)],
  };
}

/** Everything of services goes; a second time there is nothing to do. */
export function planRelease(known: KnownTable): TablePlan {
  const gone = [...known.chains.keys()].filter((name) => !SHARED.has(name));
  const isOurs = (rule: string): boolean => gone.includes(targetOf(rule) ?? '');
  const removed = [...known.hooks].flatMap(([chain, rules]) =>
    rules.filter(isOurs).map((rule) => `-D ${chain} ${rule}`),
  );
  const keep = <V>(all: ReadonlyMap<string, V>): ReadonlyMap<string, V> =>
    new Map([...all].filter(([name]) => !gone.includes(name)));
  return {
    lines: [
      ...removed,
      ...gone.map((name) => `:${name} - [0:0]`),
      ...gone.map((name) => `-X ${name}`),
    ],
    after: {
      chains: keep(known.chains),
      hooks: new Map(
        [...known.hooks].map(([name, rules]) => [name, rules.filter((r) => !isOurs(r))]),
      ),
    },
  };
}

function targetOf(rule: string): string | undefined {
  const words = wordsOf(rule);
  const at = words.findIndex((word) => ['-j', '-g', '--jump', '--goto'].includes(word));
  return at < 0 ? undefined : words[at + 1];
}
