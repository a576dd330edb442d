// `trace` and `reach`: what policy says of a connection, without touching anything.
import { fail, ok, type Result } from '../../base/result.ts';
import { familyOf, parseIp } from '../../net/ip.ts';
import type { Evaluation, Step } from '../../policy/explain/evaluate.ts';
import type { PolicyModel } from '../../policy/explain/model.ts';
import { type Packet, protocolNumber } from '../../policy/explain/packet.ts';
import { partyOf, podsOf, type Trace, trace } from '../../policy/explain/trace.ts';
import { ownerOf, wordsOfMatch } from '../../policy/explain/words.ts';
import { boxTable, type Output } from '../output.ts';

export type Ports = Omit<Packet, 'source' | 'destination'>;

/** Any port of the range for which programs do not listen: a client's. */
const CLIENT_PORT = 50_000;

/** `80`, `53/udp`, `icmp`, `icmp/8`, or a protocol's number such as `47`. */
export function parsePort(text: string): Result<Ports> {
  const wrong = fail(`'${text}': give a port such as 80 or 53/udp, icmp/8, or a protocol`);
  const [first = '', second] = text.toLowerCase().split('/');
  if (first === 'icmp' || first === 'icmpv6') {
    const type = Number(second ?? (first === 'icmp' ? 8 : 128));
    return type >= 0 && type <= 255 ? ok({ protocol: first, icmp: { type, code: 0 } }) : wrong;
  }
  const destinationPort = Number(first);
  const protocol = second ?? 'tcp';
  if (!/^\d{1,5}$/.test(first) || destinationPort < 1 || destinationPort > 65535) return wrong;
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) return wrong;
  return ok({ protocol, sourcePort: CLIENT_PORT, destinationPort });
}

export function traceCommand(
  model: PolicyModel,
  from: string,
  to: string,
  ports: Ports,
): Result<Output> {
  // Of two pods with both families the address decides, else IPv4.
  const literal = [from, to].map((text) => parseIp(text)).find((ip) => ip !== undefined);
  const family = literal && familyOf(literal);
  const source = partyOf(model, from, family);
  if (!source.ok) return source;
  const destination = partyOf(model, to, family ?? familyOf(source.value.address));
  if (!destination.ok) return destination;
  if (familyOf(source.value.address) !== familyOf(destination.value.address))
    return fail(`${from} and ${to} are of different address families`);
  const traced = trace(model, source.value, destination.value, ports);
  return ok({ lines: linesOf(traced), data: dataOf(traced) });
}

function linesOf({ source, destination, packet, verdict, asked, notes }: Trace): readonly string[] {
  const end = (name: string, address: string): string =>
    name === address ? name : `${name} (${address})`;
  return [
    `${end(source.name, source.address)} -> ${end(destination.name, destination.address)}, ${portText(packet)}`,
    ...asked.flatMap(({ party, evaluation }) => [
      '',
      `${evaluation.direction} of ${party.name}: ${evaluation.verdict}`,
      ...stepLines(evaluation),
    ]),
    '',
    ...notes.map((note) => `note: ${note}`),
    `verdict: ${verdict}`,
  ];
}

function stepLines({ steps }: Evaluation): readonly string[] {
  let tier = '';
  return steps.flatMap((step, i) => {
    const heading = 'tier' in step && step.tier !== tier ? [`  tier ${step.tier}`] : [];
    if ('tier' in step) tier = step.tier;
    const decides = i === steps.length - 1 ? '  <- decides' : '';
    const indent = 'tier' in step ? '    ' : '  ';
    const matched = 'matched' in step ? step.matched.flatMap(wordsOfMatch) : [];
    return [
      ...heading,
      `${indent}${ownerOf(step)}${outcomeOf(step)}${decides}`,
      ...matched.map((line) => `${indent}  ${line}`),
    ];
  });
}

function outcomeOf(step: Step): string {
  switch (step.kind) {
    case 'policy':
    case 'profile':
      return step.matched.length === 0 ? ': no rule matches' : '';
    case 'endOfTier':
      return `: ${step.action}`;
    default:
      return ': Deny';
  }
}

const portText = ({ protocol, destinationPort, icmp }: Packet): string =>
  icmp ? `${protocol} type ${icmp.type}` : `${protocol} ${destinationPort ?? ''}`.trim();

const dataOf = ({ source, destination, packet, verdict, asked, notes }: Trace): object => ({
  source: { name: source.name, address: source.address },
  destination: { name: destination.name, address: destination.address },
  protocol: protocolNumber(packet.protocol),
  destinationPort: packet.destinationPort,
  verdict,
  asked: asked.map(({ party, evaluation }) => ({
    endpoint: party.name,
    direction: evaluation.direction,
    verdict: evaluation.verdict,
    steps: evaluation.steps.map((step) => ({
      kind: step.kind,
      name: ownerOf(step),
      ...('tier' in step ? { tier: step.tier } : {}),
      matched: 'matched' in step ? step.matched.map(matchData) : [],
    })),
  })),
  notes,
});

const matchData = (match: Parameters<typeof wordsOfMatch>[0]): object => ({
  rule: match.number,
  action: match.action,
  words: wordsOfMatch(match)[0],
  sets: match.sets.map(({ side, key, member }) => ({ side, key, member })),
});

/** More pairs than this are not asked in one go. */
const PAIRS_MAX = 1_000_000;

/** The namespaces' matrix: how many of the pairs of pods may talk. */
export function reachCommand(
  model: PolicyModel,
  ports: Ports,
  only: readonly string[],
): Result<Output> {
  const pods = [...podsOf(model).keys()].filter(
    (name) => only.length === 0 || only.includes(namespaceOf(name)),
  );
  if (pods.length === 0) return fail('there are no pods');
  if (pods.length ** 2 > PAIRS_MAX)
    return fail(`${pods.length} pods are too many at once: choose some with --namespace`);
  const parties = pods.map((name) => partyOf(model, name)).filter((party) => party.ok);
  const byNamespace = Map.groupBy(
    parties.map(({ value }) => value),
    ({ name }) => namespaceOf(name),
  );
  const names = [...byNamespace.keys()].sort();
  const cells = names.map((from) =>
    names.map((to) => {
      const pairs = byNamespace
        .get(from)!
        .flatMap((a) => byNamespace.get(to)!.map((b) => [a, b] as const))
        .filter(([a, b]) => a !== b && familyOf(a.address) === familyOf(b.address));
      const allowed = pairs.filter(([a, b]) => trace(model, a, b, ports).verdict === 'allow');
      return { from, to, pairs: pairs.length, allowed: allowed.length };
    }),
  );
  const rows = cells.map((row, i) => [names[i]!, ...row.map(cellText)]);
  return ok({ lines: boxTable(['FROM \\ TO', ...names], rows), data: cells.flat() });
}

const namespaceOf = (name: string): string => name.slice(0, name.indexOf('/'));

function cellText({
  pairs,
  allowed,
}: {
  readonly pairs: number;
  readonly allowed: number;
}): string {
  if (pairs === 0) return '-';
  return allowed === pairs ? 'all' : allowed === 0 ? 'none' : `${allowed} of ${pairs}`;
}
