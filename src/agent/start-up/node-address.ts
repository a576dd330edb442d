// The variable IP: whether the node's address is detected, kept, given, or not wanted.
import { fail, ok, type Result } from '../../base/result.ts';
import { type InterfaceAddress, parseInterfaceAddress } from '../../net/cidr.ts';
import { familyOf, parseIp } from '../../net/ip.ts';
import type { Environment } from '../environment.ts';
import {
  type DetectionMethod,
  detectAddress,
  findOnLinks,
  parseDetectionMethod,
  type Surroundings,
} from './autodetect.ts';

/** What to do at this start. `undefined` addresses: there is none. */
export type AddressPlan =
  | { readonly kind: 'none' }
  | { readonly kind: 'given'; readonly ip: string }
  | { readonly kind: 'detect'; readonly method: DetectionMethod; readonly always: boolean };

export interface AddressDecision {
  readonly address: InterfaceAddress | undefined;
  readonly linkName: string | undefined;
  /** Detected at this start: may be cleared again when another node has it. */
  readonly detected: boolean;
  readonly because: string;
  readonly warning?: string | undefined;
}

/** Errors: IP or IP_AUTODETECTION_METHOD cannot be used. */
export function planAddress(env: Environment): Result<AddressPlan> {
  const ip = (env['IP'] ?? '').trim();
  const method = parseDetectionMethod(env['IP_AUTODETECTION_METHOD'] ?? '');
  if (!method.ok) return method;
  if (ip === '' || ip === 'autodetect')
    return ok({ kind: 'detect', method: method.value, always: ip !== '' });
  if (ip === 'none') return ok({ kind: 'none' });
  const parsed = parseInterfaceAddress(ip)?.ip ?? parseIp(ip);
  if (parsed && familyOf(parsed) === 4) return ok({ kind: 'given', ip });
  return fail(
    `IP: '${ip}' must be autodetect, none, or an IPv4 address such as 192.0.2.1 or 192.0.2.1/24`,
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
      return ok({ ...nothing, because: 'IP is none' });
    case 'given':
      return ok(givenAddress(plan.ip, around));
    case 'detect':
      return detectOrKeep(plan, stored, around);
  }
}

const nothing = { address: undefined, linkName: undefined, detected: false };

// Without a length the interface's own is taken: cross-subnet decisions need it.
function givenAddress(text: string, around: Surroundings): AddressDecision {
  const whole = parseInterfaceAddress(text);
  const ip = whole?.ip ?? parseIp(text)!;
  const found = findOnLinks(around, ip);
  const address = whole ?? found?.address ?? { ip, prefixLength: 32 };
  return {
    address,
    linkName: found?.link.name,
    detected: false,
    because: `IP is ${text}`,
    warning: found ? undefined : `IP: no interface of this node has ${ip}`,
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
  const found = detectAddress(plan.method, 4, around);
  if (!found.ok) return stored ? keep('nothing else was found', found.error) : found;
  const { address, linkName, because } = found.value;
  const changed = stored && stored.ip !== address.ip;
  const warning = changed ? `the node's address changes from ${stored.ip} to ${address.ip}` : '';
  return ok({ address, linkName, detected: true, because, warning: warning || undefined });
}
