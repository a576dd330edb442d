// Names of chains and ip sets. The kernel allows 28 and 31 characters; longer ones are shortened
// by a digest, so that equal things get equal names on every node and after every restart.
import { base64url } from '../../base/hash.ts';
import type { Family } from '../../net/ip.ts';

const CHAIN_NAME_MAX = 28;
const SET_NAME_MAX = 31;

/** Every chain of ours starts with this, and no chain of anybody else may. */
export const CHAIN_PREFIX = 'cali-';
/** Ip sets of ours, and those in the making. */
export const setPrefixes = (family: Family): readonly string[] => [
  `cali${family}0`,
  `cali${family}t`,
];
/** A name for a set in the making that none of these has. */
export function spareSetName(family: Family, taken: { has(name: string): boolean }): string {
  for (let number = 0; ; number++) {
    const name = `cali${family}t${number}`;
    if (!taken.has(name)) return name;
  }
}
const setPrefix = (family: Family): string => (family === 4 ? 'cali40' : 'cali60');

export type Direction = 'ingress' | 'egress';

/** `prefix + id`, or with the id's digest when that is too long or could be taken for one. */
export function limitedName(prefix: string, id: string): string {
  const plain = prefix + id;
  const lookalike = plain.length === CHAIN_NAME_MAX && id.startsWith('_');
  // What stands in the datastore must not be able to say more than a name.
  const harmless = /^[\w.:/-]+$/.test(id);
  if (plain.length <= CHAIN_NAME_MAX && harmless && !lookalike) return plain;
  return `${prefix}_${base64url('sha256', id)}`.slice(0, CHAIN_NAME_MAX);
}

export const policyChainName = (direction: Direction, policyId: string): string =>
  limitedName(direction === 'ingress' ? 'cali-pi-' : 'cali-po-', policyId);
export const profileChainName = (direction: Direction, profile: string): string =>
  limitedName(direction === 'ingress' ? 'cali-pri-' : 'cali-pro-', profile);
export const endpointChainName = (direction: Direction, interfaceName: string): string =>
  limitedName(direction === 'ingress' ? 'cali-tw-' : 'cali-fw-', interfaceName);

/** What the log of denied packets says of a tier's end: at most 28 + 6 + 28 characters. */
export const tierDenialPrefix = (chain: string, tier: string): string =>
  `${chain} tier ${limitedName('', tier)}`;

/** A chain for policies that always apply together. `policies` are their full texts, in order. */
export function groupChainName(
  direction: Direction,
  selector: string,
  policies: readonly string[],
): string {
  const way = direction === 'ingress' ? 'inbound' : 'outbound';
  const lines = [selector, way, String(policies.length), ...policies];
  const digest = base64url('sha3-224', lines.map((line) => `${line}\n`).join(''));
  return `${direction === 'ingress' ? 'cali-gi-' : 'cali-go-'}${digest}`.slice(0, CHAIN_NAME_MAX);
}

const setId = (prefix: string, text: string): string =>
  `${prefix}:${base64url('sha224', `${prefix}:${text}`)}`;

/** Identity of the set of a selector, by its canonical text. */
export const selectorSetId = (canonical: string): string => setId('s', canonical);
/** Identity of the set of a named port on the endpoints of a selector. */
export const namedPortSetId = (selectorId: string, protocol: string, port: string): string =>
  setId('n', `${selectorId},${protocol},${port}`);

/** Identity of the set of a service's endpoints: with their ports, or of any port. */
export const serviceSetId = (service: string, ports: boolean): string =>
  setId(ports ? 'svc' : 'svcnoport', service);

/** The kernel's name of a set: an identity from above, or a fixed word such as `this-host`. */
export const setName = (family: Family, id: string): string =>
  (setPrefix(family) + id).slice(0, SET_NAME_MAX);
