// What a Log rule does: a line in the kernel's log, with a prefix that may say which rule it was, and
// as often as FelixConfiguration allows.

export interface LogSettings {
  /** With %t tier, %k kind, %n name, %p namespace and name; Felix has no %r, the rule's number. */
  readonly prefix: string;
  /** `100/minute`; undefined: no limit. */
  readonly rate: string | undefined;
  readonly burst: number;
}

export const LOG_DEFAULTS: LogSettings = { prefix: 'calico-packet', rate: undefined, burst: 5 };

/** Whose rule it is. */
export interface LogOwner {
  readonly tier: string;
  /** Calico's short word: np, gnp, pro. */
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  /** Its place among the rules of its direction, from 1. */
  readonly rule: number;
}

export interface LogAction {
  /** Added to the rule's match; empty: always. */
  readonly limit: string;
  readonly action: string;
}

/** iptables(8), LOG: prefixes are up to 29 letters long. */
const PREFIX_LENGTH_MAX = 29;
const END = ': ';

export function logAction({ prefix, rate, burst }: LogSettings, owner: LogOwner): LogAction {
  const { tier, kind, name, namespace, rule } = owner;
  const full = namespace === undefined ? name : `${namespace}/${name}`;
  const words: Readonly<Record<string, string>> = {
    t: tier,
    k: kind,
    n: name,
    p: full,
    r: String(rule),
  };
  const text = prefix.replace(/%([tknpr])/g, (_, letter: string) => words[letter]!);
  // Nothing a resource carries may end the quoted string or the line.
  const clean = text.replace(/[^\w @%+=:,./-]/g, '_').slice(0, PREFIX_LENGTH_MAX - END.length);
  return {
    limit: rate === undefined ? '' : `-m limit --limit ${rate} --limit-burst ${burst}`,
    action: `--jump LOG --log-prefix "${clean}${END}" --log-level 5`,
  };
}

/** Whether iptables takes it as a rate. */
export const isRate = (text: string): boolean =>
  /^[1-9]\d{0,4}\/(second|minute|hour|day)$/.test(text);
