// A packet's way from one end to the other: who is asked, what they say, and what else happens to it.
import { fail, ok, type Result } from '../../base/result.ts';
import type { IpPoolSpec } from '../../model/ip-pool.ts';
import { parseKey } from '../../model/keys.ts';
import { encapsulationsOf } from '../../model/mtu.ts';
import { TUNNEL_DEVICES } from '../../model/tunnel.ts';
import { parseWorkloadEndpointName } from '../../model/workload-endpoint.ts';
import { contains, parseCidr } from '../../net/cidr.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../net/ip.ts';
import type { Endpoint } from '../read/endpoints.ts';
import { type Evaluation, evaluate, type Verdict } from './evaluate.ts';
import type { PolicyModel } from './model.ts';
import type { Packet } from './packet.ts';
import { ownerOf } from './words.ts';

/** One end of a connection. */
export interface Party {
  /** `namespace/pod`, or the address. */
  readonly name: string;
  readonly address: Ip;
  /** Absent: no pod. */
  readonly pod?: { readonly endpoint: Endpoint };
  /** Key of the Node whose own address this is. */
  readonly host?: string;
}

export interface Question {
  readonly party: Party;
  readonly evaluation: Evaluation;
}

export interface Trace {
  readonly source: Party;
  readonly destination: Party;
  readonly packet: Packet;
  readonly verdict: Verdict;
  /** In order; the last one decided. None: no policy has a say. */
  readonly asked: readonly Question[];
  /** What is true of the way besides. */
  readonly notes: readonly string[];
}

/** The pods by `namespace/name`. */
export function podsOf(model: PolicyModel): ReadonlyMap<string, Endpoint> {
  const pods = new Map<string, Endpoint>();
  for (const [key, endpoint] of model.endpoints) {
    const parsed = parseKey(key);
    const id = parsed?.kind === 'namespaced' ? parseWorkloadEndpointName(parsed.name) : undefined;
    if (id && parsed?.kind === 'namespaced')
      pods.set(`${parsed.namespace}/${id.workload}`, endpoint);
  }
  return pods;
}

/** An address, or a pod as `namespace/name`. Errors: no such pod, or it has no such address. */
export function partyOf(model: PolicyModel, text: string, family?: Family): Result<Party> {
  const pods = podsOf(model);
  const address = parseIp(text);
  if (address) {
    const found = [...pods].find(([, { members }]) => members.includes(address));
    if (found) return ok({ name: found[0], address, pod: { endpoint: found[1] } });
    const [host] = [...model.world.nodes].find(([, ip]) => ip === address) ?? [];
    return ok({ name: text, address, ...(host ? { host } : {}) });
  }
  const endpoint = pods.get(text);
  if (!endpoint) return fail(`'${text}' is neither an address nor a pod (namespace/name)`);
  const addresses = endpoint.members
    .map((member) => parseIp(member))
    .filter((ip) => ip !== undefined);
  const wanted = addresses.find((ip) => family === undefined || familyOf(ip) === family);
  if (!wanted) return fail(`${text} has no address of ${family ? `IPv${family}` : 'its own'}`);
  return ok({ name: text, address: wanted, pod: { endpoint } });
}

/** `packet` without addresses: the parties have them, and must be of one family. */
export function trace(
  model: PolicyModel,
  source: Party,
  destination: Party,
  packet: Omit<Packet, 'source' | 'destination'>,
): Trace {
  const whole: Packet = { ...packet, source: source.address, destination: destination.address };
  const asked: Question[] = [];
  const ask = (party: Party, direction: 'ingress' | 'egress'): Verdict => {
    if (!party.pod) return 'allow';
    const evaluation = evaluate(model, party.pod.endpoint, direction, whole);
    asked.push({ party, evaluation });
    return evaluation.verdict;
  };
  const own = isOwnHost(model, source, destination);
  const verdict =
    ask(source, 'egress') === 'deny' || (!own && ask(destination, 'ingress') === 'deny')
      ? 'deny'
      : 'allow';
  const way = verdict === 'deny' ? [] : notesOf(model, source, destination, own);
  const notes = [...troubles(asked), ...way];
  return { source, destination, packet: whole, verdict, asked, notes };
}

/** Of stored policies that were asked: what cannot be read, and so admits nothing. */
const troubles = (asked: readonly Question[]): readonly string[] =>
  asked.flatMap(({ evaluation }) =>
    evaluation.steps.flatMap((step) => {
      const problem = step.kind === 'policy' ? step.policy.problems[0] : undefined;
      return problem === undefined ? [] : `${ownerOf(step)}: ${problem}`;
    }),
  );

/** A host reaches its own pods whatever policy says: kubelet's probes depend on it. */
function isOwnHost({ world }: PolicyModel, { host }: Party, { pod }: Party): boolean {
  if (!host || !pod) return false;
  const node = parseKey(host);
  return node?.kind === 'resource' && world.nodes.has(host) && node.name === pod.endpoint.node;
}

/** In what a packet to another node's pod travels. */
function encapsulationNote(
  { pod: from }: Party,
  { pod: to }: Party,
  pool: IpPoolSpec | undefined,
): string | undefined {
  const nodes = [from?.endpoint.node, to?.endpoint.node];
  if (!from || !to || nodes[0] === nodes[1] || !pool) return undefined;
  const [each] = encapsulationsOf([pool]);
  if (!each) return undefined;
  const mode = each === 'ipip' ? pool.ipipMode : pool.vxlanMode;
  const name = each === 'ipip' ? 'IP-in-IP' : 'VXLAN';
  const unless = mode === 'CrossSubnet' ? ', plain where these share a subnet' : '';
  return `from node ${nodes[0]} to ${nodes[1]} in ${name} (${TUNNEL_DEVICES[each]})${unless}`;
}

function notesOf(model: PolicyModel, source: Party, destination: Party, own: boolean) {
  const notes: string[] = [];
  if (own) notes.push(`the host of ${destination.name} is not asked: it may always reach its pods`);
  const pools = [...model.world.pools.values()].map(({ spec }) => spec);
  const within = (ip: Ip) =>
    pools.find(({ cidr }) => {
      const net = parseCidr(cidr);
      return net !== undefined && contains(net, ip);
    });
  if (source.pod && within(source.address)?.natOutgoing && !within(destination.address))
    notes.push(`leaves the pools: ${source.address} becomes the address of its node (natOutgoing)`);
  const way = encapsulationNote(source, destination, within(destination.address));
  if (way) notes.push(way);
  if (source.pod && destination.host)
    notes.push('a host: its host endpoints and DefaultEndpointToHostAction are not asked here');
  return notes;
}
