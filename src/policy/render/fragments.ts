// The words of a rule: matches and actions in the spelling that the hashes were made over, and the
// meaning of the mark bits.
import type { TableName } from '../../kernel/tables.ts';
import { RULE_DEFAULTS, type RuleSettings } from '../read/rule-settings.ts';

const hex = (mark: number): string => `0x${mark.toString(16)}`;

export const jump = (chain: string): string => `--jump ${chain}`;
export const goto = (chain: string): string => `--goto ${chain}`;
export const ACCEPT = '--jump ACCEPT';
export const DROP = '--jump DROP';
export const NOTRACK = '--jump NOTRACK';
export const RETURN = '--jump RETURN';
export const REJECT = '--jump REJECT';
export const TCP_RESET = '--jump REJECT --reject-with tcp-reset';
/** `ports`: `first-last`. */
export const masquerade = (ports?: string): string =>
  `--jump MASQUERADE${ports === undefined ? '' : ` --to-ports ${ports}`} --random-fully`;
/** `to`: an address, or `address:first-last`. */
export const sourceNat = (to: string): string => `--jump SNAT --to-source ${to} --random-fully`;
/** Tells who listens to the group of the packet; of the prefix 63 characters are kept. */
export const NFLOG_GROUP = 1;
export const nflog = (prefix: string): string =>
  `--jump NFLOG --nflog-group ${NFLOG_GROUP} --nflog-prefix "${prefix}"`;
export const setMark = (mark: number): string => `--jump MARK --set-mark ${hex(mark)}/${hex(mark)}`;
export const clearMark = (mark: number): string => `--jump MARK --set-mark 0/${hex(mark)}`;
export const setMaskedMark = (mark: number, mask: number): string =>
  `--jump MARK --set-mark ${hex(mark)}/${hex(mask)}`;

export const marked = (mark: number): string => `-m mark --mark ${hex(mark)}/${hex(mark)}`;
export const notMarked = (mark: number): string => `-m mark ! --mark ${hex(mark)}/${hex(mark)}`;
export const unmarked = (mark: number): string => `-m mark --mark 0/${hex(mark)}`;
export const anyMarked = (mark: number): string => `-m mark ! --mark 0/${hex(mark)}`;
export const inInterface = (name: string): string => `--in-interface ${name}`;
export const outInterface = (name: string): string => `--out-interface ${name}`;
export const connection = (states: string): string => `-m conntrack --ctstate ${states}`;
export const notConnection = (states: string): string => `-m conntrack ! --ctstate ${states}`;

export type Side = 'src' | 'dst';
export const inSet = (name: string, side: Side): string => `-m set --match-set ${name} ${side}`;
export const notInSet = (name: string, side: Side): string =>
  `-m set ! --match-set ${name} ${side}`;

/** Joins what is there. */
export const all = (...parts: readonly (string | undefined | false)[]): string =>
  parts.filter((part) => part).join(' ');

/** What is done with packets once it is decided: as FelixConfiguration says, table by table. */
export interface Verdicts {
  readonly allow: string;
  readonly deny: string;
  /** How comments call the denial. */
  readonly denyWord: 'Drop' | 'Reject';
}

/** REJECT is for the filter table alone: the kernel has it nowhere else. */
export function verdictsOf(rules: RuleSettings, table: TableName): Verdicts {
  const word = {
    filter: rules.filterAllow,
    mangle: rules.mangleAllow,
    raw: 'ACCEPT',
    nat: 'ACCEPT',
  };
  const rejects = table === 'filter' && rules.deny === 'REJECT';
  return {
    allow: word[table] === 'RETURN' ? RETURN : ACCEPT,
    deny: rejects ? REJECT : DROP,
    denyWord: rejects ? 'Reject' : 'Drop',
  };
}

export const FILTER_DEFAULTS: Verdicts = verdictsOf(RULE_DEFAULTS, 'filter');
