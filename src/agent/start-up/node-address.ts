// The variables IP and IP6: whether the node's address is detected, kept, given, or not wanted.
import { fail, ok, type Result } from '../../base/result.ts';
import { type InterfaceAddress, parseInterfaceAddress } from '../../net/cidr.ts';
import { bitsOf, type Family, familyOf, parseIp } from '../../net/ip.ts';
import type { Environment } from '../environment.ts';
import {
  type DetectionMethod,
  detectAddress,
  findOnLinks,
  parseDetectionMethod,
  type Surroundings,
} from './autodetect.ts';

/** What to do at this start. `undefined` addresses: there is none. */
export type AddressPlan = { readonly family: Family } & (
  | { readonly kind: 'none' }
  /** Whatever the Node says. */
  | { readonly kind: 'keep' }
  | { readonly kind: 'given'; readonly ip: string }
  | { readonly kind: 'detect'; readonly method: DetectionMethod; readonly always: boolean }
);

export interface AddressDecision {
  readonly address: InterfaceAddress | undefined;
  readonly linkName: string | undefined;
  /** Detected at this start: may be cleared again when another node has it. */
  readonly detected: boolean;
  readonly because: string;
  readonly warning?: string | undefined;
}

const VARIABLES: Readonly<Record<Family, string>> = { 4: 'IP', 6: 'IP6' };
const EXAMPLES: Readonly<Record<Family, string>> = {
  4: '192.0.2.1 or 192.0.2.1/24',
  6: '2001:db8::1 or 2001:db8::1/64',
};

/**
 * IPv4 is detected unless the variable says otherwise, IPv6 only when IP6 asks for it. Errors: the
 * variable or its method cannot be used.
 */
export function planAddress(env: Environment, family: Family): Result<AddressPlan> {
  const variable = VARIABLES[family];
  const ip = (env[variable] ?? '').trim();
  const methodVariable = `${variable}_AUTODETECTION_METHOD`;
  const legacy = family === 6 ? env['IPV6_AUTODETECTION_METHOD'] : undefined;
  const method = parseDetectionMethod(env[methodVariable] || legacy || '', methodVariable);
  if (!method.ok) return method;
  if (ip === '' && family === 6) return ok({ kind: 'keep', family });
  if (ip === '' || ip === 'autodetect')
    return ok({ kind: 'detect', family, method: method.value, always: ip !== '' });
  if (ip === 'none') return ok({ kind: 'none', family });
  const parsed = parseInterfaceAddress(ip)?.ip ?? parseIp(ip);
  if (parsed && familyOf(parsed) === family) return ok({ kind: 'given', family, ip });
  return fail(
    `${variable}: '${ip}' must be autodetect, none, or an IPv${family} address such as ` +
      EXAMPLES[family],
  );
}

/** Errors: nothing was found and nothing is stored. */
export function decideAddress(
  plan: AddressPlan,
  stored: InterfaceAddress | undefined,
  around: Surroundings,
): Result<AddressDecision> {
  switch (plan.kind) {
    case 'none':
      return ok({ ...nothing, because: `${VARIABLES[plan.family]} is none` });
    case 'keep':
      return ok({ ...nothing, address: stored, because: `${VARIABLES[plan.family]} is empty` });
    case 'given':
      return ok(givenAddress(plan, around));
    case 'detect':
      return detectOrKeep(plan, stored, around);
  }
}

const nothing = { address: undefined, linkName: undefined, detected: false };

// Without a length the interface's own is taken: cross-subnet decisions need it.
function givenAddress(
  { ip: text, family }: AddressPlan & { kind: 'given' },
  around: Surroundings,
): AddressDecision {
  const whole = parseInterfaceAddress(text);
  const ip = whole?.ip ?? parseIp(text)!;
  const found = findOnLinks(around, ip);
  const address = whole ?? found?.address ?? { ip, prefixLength: bitsOf(family) };
  return {
    address,
    linkName: found?.link.name,
    detected: false,
    because: `${VARIABLES[family]} is ${text}`,
    warning: found ? undefined : `${VARIABLES[family]}: no interface of this node has ${ip}`,
  };
}

// A stored address wins over detection only while an interface still has it.
function detectOrKeep(
  plan: AddressPlan & { kind: 'detect' },
  stored: InterfaceAddress | undefined,
  around: Surroundings,
): Result<AddressDecision> {
  const there = stored && findOnLinks(around, stored.ip);
  const keep = (because: string, warning?: string): Result<AddressDecision> =>
    ok({ address: stored, linkName: there?.link.name, detected: false, because, warning });
  if (stored && there && !plan.always) return keep('IP is empty and the stored address is in use');
  const found = detectAddress(plan.method, plan.family, around);
  if (!found.ok) return stored ? keep('nothing else was found', found.error) : found;
  const { address, linkName, because } = found.value;
  const changed = stored && stored.ip !== address.ip;
  const warning = changed ? `the node's address changes from ${stored.ip} to ${address.ip}` : '';
  return ok({ address, linkName, detected: true, because, warning: warning || undefined });
}
