// BGPPeer: peerings beyond the mesh. `node` or `nodeSelector` say which nodes of ours have it (both
// absent: all), `peerIP` or `peerSelector` with whom. The stored spec is parsed once; a peer of
// which anything cannot be read is not made at all.
import type { Json } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { Asn } from '../net/asn.ts';
import { familyOf, type Ip, parseIp } from '../net/ip.ts';
import { type SessionWishes, sessionWishes } from './reading/bgp-annotations.ts';
import {
  address,
  asn,
  type Fields,
  fieldsOf,
  flag,
  listOf,
  nested,
  parsed,
  seconds,
  selector,
  text,
  whole,
  word,
} from './reading/fields.ts';
import type { Selector } from './selector/selector.ts';

export interface BgpPeer {
  readonly name: string;
  /** Our side: one node, those selected, or all. */
  readonly local:
    | { readonly kind: 'node'; readonly node: string }
    | { readonly kind: 'selected'; readonly selector: Selector }
    | { readonly kind: 'all' };
  readonly remote:
    | {
        readonly kind: 'address';
        readonly address: Ip;
        /** Undefined: the port of the node with this address, else the cluster's. */
        readonly port: number | undefined;
        /** Undefined: that of the node with this address, else the cluster's. */
        readonly asn: Asn | undefined;
      }
    | { readonly kind: 'selected'; readonly selector: Selector }
    /** Pods on the node itself. */
    | { readonly kind: 'workloads'; readonly selector: Selector; readonly asn: Asn };
  /** The nodes selected as remote side have the peering towards ours by themselves. */
  readonly reverse: boolean;
  readonly localAsn: Asn | undefined;
  readonly nextHopMode: 'auto' | 'self' | 'keep';
  readonly password: SecretKeyRef | undefined;
  readonly sourceAddress: 'useNodeIp' | 'none';
  readonly maxRestartSeconds: number | undefined;
  readonly keepaliveSeconds: number | undefined;
  readonly allowLocalAsns: number;
  readonly ttlSecurityHops: number | undefined;
  readonly reachableBy: Ip | undefined;
  /** Names of BGPFilters, in order. */
  readonly filters: readonly string[];
  readonly wishes: SessionWishes;
}

/** A value of a Secret in the speaker's own namespace. */
export interface SecretKeyRef {
  readonly name: string;
  readonly key: string;
}

/** Parses a stored BGPPeer. Errors: all that is wrong, in one line. */
export function parseBgpPeer(
  name: string,
  resource: { readonly metadata: object; readonly spec: Json },
): Result<BgpPeer> {
  const problems: string[] = [];
  const spec = fieldsOf(resource.spec, problems);
  const local = parseLocal(spec);
  const remote = parseRemote(spec);
  const sourceAddress = word(spec, 'sourceAddress', ['UseNodeIP', 'None']);
  const ttlSecurity = whole(spec, 'ttlSecurity', 0, 255);
  const peer: Omit<BgpPeer, 'remote'> = {
    name,
    local,
    reverse: word(spec, 'reversePeering', ['Auto', 'Manual']) !== 'Manual',
    localAsn: asn(spec, 'localASNumber'),
    nextHopMode: parseNextHopMode(spec),
    password: parsePassword(spec),
    sourceAddress: sourceAddress === 'None' ? 'none' : 'useNodeIp',
    maxRestartSeconds: boundedSeconds(spec, 'maxRestartTime', 0, 4095),
    keepaliveSeconds: boundedSeconds(spec, 'keepaliveTime', 1, 21_845),
    allowLocalAsns: whole(spec, 'numAllowedLocalASNumbers', 0, 255) ?? 0,
    ttlSecurityHops: ttlSecurity === 0 ? undefined : ttlSecurity,
    reachableBy: parseReachableBy(spec, remote),
    filters: listOf(spec, 'filters', 'name', (v) => (typeof v === 'string' ? v : undefined)) ?? [],
    wishes: sessionWishes(fieldsOf(resource.metadata as Json, problems)),
  };
  return problems.length > 0 || !remote
    ? fail(`BGPPeer ${name}: ${problems.join('; ')}`)
    : ok({ ...peer, remote });
}

function parseLocal(spec: Fields): BgpPeer['local'] {
  const [node, nodeSelector] = [text(spec, 'node'), selector(spec, 'nodeSelector')];
  if (node !== undefined && spec.object['nodeSelector'])
    spec.problems.push('node and nodeSelector exclude each other');
  if (node !== undefined) return { kind: 'node', node };
  return nodeSelector ? { kind: 'selected', selector: nodeSelector } : { kind: 'all' };
}

function parseRemote(spec: Fields): BgpPeer['remote'] | undefined {
  const workloads = selector(spec, 'localWorkloadSelector');
  const peerSelector = selector(spec, 'peerSelector');
  const peer = parsed(spec, 'peerIP', 'address, address:port or [address]:port', (v) =>
    typeof v === 'string' ? parseEndpoint(v) : undefined,
  );
  const asNumber = asn(spec, 'asNumber');
  if (spec.object['localWorkloadSelector']) {
    if (spec.object['peerIP'] || spec.object['peerSelector'])
      spec.problems.push('localWorkloadSelector excludes peerIP and peerSelector');
    if (asNumber === undefined) spec.problems.push('localWorkloadSelector needs an asNumber');
    return workloads && asNumber && { kind: 'workloads', selector: workloads, asn: asNumber };
  }
  if (spec.object['peerSelector']) {
    if (spec.object['peerIP'] || asNumber !== undefined)
      spec.problems.push('peerSelector excludes peerIP and asNumber');
    return peerSelector && { kind: 'selected', selector: peerSelector };
  }
  if (!spec.object['peerIP'])
    spec.problems.push('peerIP, peerSelector or localWorkloadSelector must be given');
  return peer && { kind: 'address', ...peer, asn: asNumber };
}

/** `10.0.0.1`, `10.0.0.1:1179`, `fd00::1` or `[fd00::1]:1179`. */
function parseEndpoint(source: string): { address: Ip; port: number | undefined } | undefined {
  const whole = parseIp(source);
  if (whole) return { address: whole, port: undefined };
  const [, bracketed, bare, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(source) ?? [];
  const peer = parseIp(bracketed ?? bare ?? '');
  const port = Number(digits);
  const good = peer && familyOf(peer) === (bracketed ? 6 : 4) && port > 0 && port < 65536;
  return good ? { address: peer, port } : undefined;
}

const MODES = { Auto: 'auto', Self: 'self', Keep: 'keep' } as const;

function parseNextHopMode(spec: Fields): BgpPeer['nextHopMode'] {
  const mode = word(spec, 'nextHopMode', ['Auto', 'Self', 'Keep']);
  const keep = flag(spec, 'keepOriginalNextHop');
  if (mode && keep) spec.problems.push('keepOriginalNextHop and nextHopMode exclude each other');
  return mode ? MODES[mode] : keep ? 'keep' : 'auto';
}

/** Reads `{secretKeyRef: {name, key}}`; what is incomplete is a problem, never "no password". */
export function parsePassword(spec: Fields, field = 'password'): SecretKeyRef | undefined {
  const password = nested(spec, field);
  if (!password) return undefined;
  const reference = nested(password, 'secretKeyRef');
  const name = reference && text(reference, 'name');
  const key = reference && text(reference, 'key');
  if (name && key) return { name, key };
  spec.problems.push(`${field}.secretKeyRef needs name and key`);
  return undefined;
}

export function boundedSeconds(
  spec: Fields,
  field: string,
  min: number,
  max: number,
): number | undefined {
  const value = seconds(spec, field);
  if (value === undefined || (value >= min && value <= max)) return value;
  spec.problems.push(`${field}: ${value}s is not within ${min}s..${max}s`);
  return undefined;
}

function parseReachableBy(spec: Fields, remote: BgpPeer['remote'] | undefined): Ip | undefined {
  const gateway = address(spec, 'reachableBy');
  if (!gateway) return undefined;
  if (remote?.kind !== 'address') spec.problems.push('reachableBy needs a peerIP');
  else if (familyOf(gateway) !== familyOf(remote.address))
    spec.problems.push('reachableBy is not of the family of peerIP');
  return gateway;
}
