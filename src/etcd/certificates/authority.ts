// The authority of calico-etcd's certificates, and how another takes its place while all of them serve. In
// three turns, one with each upgrade: the next authority is made, and all trust both; once every member has
// started since (etcd reads whom it trusts at its start alone) the next one signs, and all trust both; in the
// end the former one is trusted no more. Pure: what is done is for the caller.

/** Both as PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** What the Secret of the authority holds. */
export interface Authorities {
  /** Who signs. */
  readonly current: KeyPair;
  /** Who will sign. */
  readonly next?: KeyPair;
  /** Certificate of who signed before. */
  readonly former?: string;
  /** When the last turn was made, in milliseconds since 1970. */
  readonly since: number;
  /** The text that asked for the authority there is, or for the next. */
  readonly asked: string;
}

/** A member, or what is to be one. */
export interface MemberPod {
  readonly name: string;
  /** In milliseconds since 1970; undefined: not yet. */
  readonly startedAt: number | undefined;
}

export type Turn =
  | { readonly kind: 'none' }
  /** A next authority is made, and trusted. */
  | { readonly kind: 'begin' }
  /** The next authority signs. */
  | { readonly kind: 'change' }
  /** The former one is trusted no more. */
  | { readonly kind: 'end' }
  | { readonly kind: 'wait'; readonly why: string };

export interface TurnFacts {
  /** Any text; another one than before asks for another authority. */
  readonly wanted: string;
  readonly now: number;
  /** How long kubelets may take to bring a Secret to pods, in milliseconds. */
  readonly settleMilliseconds: number;
  readonly members: readonly MemberPod[];
}

export function turnOf(authorities: Authorities, facts: TurnFacts): Turn {
  const { next, former, since, asked } = authorities;
  const { wanted, now, settleMilliseconds, members } = facts;
  if (!next && !former) return { kind: wanted === asked ? 'none' : 'begin' };
  const left = Math.ceil((since + settleMilliseconds - now) / 1000);
  if (left > 0)
    return { kind: 'wait', why: `not all pods may have the last change; ${left} s more` };
  if (former) return { kind: 'end' };
  const old = members.filter(({ startedAt }) => startedAt === undefined || startedAt < since);
  if (old.length === 0) return { kind: 'change' };
  const names = old.map(({ name }) => name).join(', ');
  return { kind: 'wait', why: `${names} must restart first, to trust the next authority` };
}

/** Whom certificates are checked against. */
export const bundleOf = ({ current, next, former }: Authorities): string =>
  [current.certificate, next?.certificate, former].filter(Boolean).join('');
