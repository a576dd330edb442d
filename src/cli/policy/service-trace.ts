// `trace` to a service: which endpoints the node's rules may choose, and what policy says of each.
import { fail, ok, type Result } from '../../base/result.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import type { Models, Ports } from '../../policy/explain/matrix.ts';
import { partyOf } from '../../policy/explain/trace.ts';
import type { Output } from '../output.ts';
import type { ServedAddress } from '../services/listing.ts';
import { wayOf } from '../services/ways.ts';
import { traceCommand } from './trace.ts';

/** The service that this node serves at an address and port; undefined: none. */
export function servedAt(
  all: readonly ServedAddress[],
  { enforced }: Models,
  to: Ip,
  { protocol, destinationPort }: Ports,
): ServedAddress | undefined {
  const host = to.includes(':') ? `[${to}]` : to;
  const isNode = [...enforced.world.nodes.values()].includes(to);
  const at = (address: string): ServedAddress | undefined =>
    all.find((one) => one.address === address && one.protocol === String(protocol));
  return at(`${host}:${destinationPort}`) ?? (isNode ? at(`*:${destinationPort}`) : undefined);
}

/** Why somebody comes no further though others do. */
const notFor = ({ chain = '' }: ServedAddress): string =>
  chain.startsWith('KUBE-FW-')
    ? 'takes no calls from there (loadBalancerSourceRanges)'
    : 'has no endpoints on this node, where such calls must stay';

interface Reached {
  readonly address: string;
  readonly name: string;
  readonly output: Output;
  readonly verdict: string;
}

/** What becomes of a connection to the service, endpoint by endpoint. */
export function traceService(
  models: Models,
  from: string,
  served: ServedAddress,
  ports: Ports,
): Result<Output> {
  const { service, kind, address, chain, problem, affinitySeconds } = served;
  const what = `service ${service}, ${kind} ${address}`;
  const caller = partyOf(models.enforced, from);
  if (!caller.ok) return caller;
  const { address: ip, host } = caller.value;
  const way = wayOf(served.ways, { ip, isNode: host !== undefined });
  const endpoints = way?.endpoints ?? [];
  if (problem || endpoints.length === 0) {
    const why = problem ?? (way ? 'has no endpoints' : notFor(served));
    const data = { verdict: 'deny', service: { service, kind, address, problem: why } };
    return ok({ data, lines: [`${from} -> ${what}`, '', `verdict: deny, the service ${why}`] });
  }
  const reached: Reached[] = [];
  for (const endpoint of endpoints) {
    const one = traceEndpoint(models, from, endpoint.address, ports);
    if (!one.ok) return one;
    reached.push(one.value);
  }
  const verdicts = [...new Set(reached.map((one) => one.verdict))];
  const verdict = verdicts.length === 1 ? verdicts[0]! : 'depends on the endpoint';
  const chance = reached.length === 1 ? '' : `, each with a chance of 1/${reached.length}`;
  const stays =
    affinitySeconds === undefined
      ? []
      : [`a client stays at its endpoint for ${affinitySeconds} s (session affinity)`];
  // One explanation of each verdict is enough.
  const explained = verdicts.map((wanted) => reached.find((one) => one.verdict === wanted)!);
  return ok({
    lines: [
      `${from} -> ${what}`,
      `chain ${chain}: ${count(reached.length)}${chance}`,
      ...stays,
      ...reached.map((one) => `  ${one.address}${one.name}  ${one.verdict}`),
      ...explained.flatMap(({ output }) => ['', ...output.lines]),
      ...(verdicts.length === 1 ? [] : ['', `verdict of the service: ${verdict}`]),
    ],
    data: {
      verdict,
      service: { service, kind, address, chain, affinitySeconds },
      endpoints: reached.map((one) => ({ address: one.address, ...(one.output.data as object) })),
    },
  });
}

const count = (endpoints: number): string =>
  endpoints === 1 ? 'one endpoint' : `one of ${endpoints} endpoints`;

function traceEndpoint(
  models: Models,
  from: string,
  address: string,
  ports: Ports,
): Result<Reached> {
  const at = address.lastIndexOf(':');
  const ip = parseIp(address.slice(0, at).replace(/^\[|\]$/g, ''));
  if (!ip) return fail(`the endpoint ${address} has no address`);
  const destinationPort = Number(address.slice(at + 1));
  const output = traceCommand(models, from, ip, { ...ports, destinationPort });
  if (!output.ok) return output;
  const party = partyOf(models.enforced, ip);
  const name = party.ok && party.value.name !== ip ? ` ${party.value.name}` : '';
  const { verdict } = output.value.data as { readonly verdict: string };
  return ok({ address, name, output: output.value, verdict });
}
