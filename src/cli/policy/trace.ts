// `trace` and `reach`: what policy says of a connection, without touching anything.
import { fail, ok, type Result } from '../../base/result.ts';
import { familyOf, parseIp } from '../../net/ip.ts';
import type { Evaluation, Step } from '../../policy/explain/evaluate.ts';
import {
  type Cell,
  type Models,
  matrix,
  type Ports,
  podNames,
} from '../../policy/explain/matrix.ts';
import { type Packet, protocolNumber } from '../../policy/explain/packet.ts';
import { partyOf, type Trace, trace } from '../../policy/explain/trace.ts';
import { ownerOf, wordsOfMatch } from '../../policy/explain/words.ts';
import { boxTable, type Output } from '../output.ts';

export function traceCommand(
  { enforced: model, staged }: Models,
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
  const wouldBe = staged && trace(staged, source.value, destination.value, ports);
  return ok({
    lines: [...linesOf(traced), ...(wouldBe ? stagedLines(traced, wouldBe) : [])],
    data: { ...dataOf(traced), ...(wouldBe ? { staged: dataOf(wouldBe) } : {}) },
  });
}

/** What the staged policies would say, with the reason where it is another. */
function stagedLines(now: Trace, wouldBe: Trace): readonly string[] {
  if (now.verdict === wouldBe.verdict) return [`with staged policies: ${wouldBe.verdict} too`];
  return ['', 'with staged policies:', ...askedLines(wouldBe), '', `verdict: ${wouldBe.verdict}`];
}

function linesOf(traced: Trace): readonly string[] {
  const { source, destination, packet, verdict, notes } = traced;
  const end = (name: string, address: string): string =>
    name === address ? name : `${name} (${address})`;
  return [
    `${end(source.name, source.address)} -> ${end(destination.name, destination.address)}, ${portText(packet)}`,
    ...askedLines(traced),
    '',
    ...notes.map((note) => `note: ${note}`),
    `verdict: ${verdict}`,
  ];
}

const askedLines = ({ asked }: Trace): readonly string[] =>
  asked.flatMap(({ party, evaluation }) => [
    '',
    `${evaluation.direction} of ${party.name}: ${evaluation.verdict}`,
    ...stepLines(evaluation),
  ]);

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
  models: Models,
  ports: Ports,
  only: readonly string[],
): Result<Output> {
  const pods = podNames(models.enforced, only);
  if (pods.length === 0) return fail('there are no pods');
  if (pods.length ** 2 > PAIRS_MAX)
    return fail(`${pods.length} pods are too many at once: choose some with --namespace`);
  const cells = matrix(models, pods, ports);
  const rows = cells.map((row) => [row[0]!.from, ...row.map(cellText)]);
  const headings = ['FROM \\ TO', ...cells.map((row) => row[0]!.from)];
  const all = cells.flat();
  const staged = models.staged ? [stagedSummary(all)] : [];
  return ok({ lines: [...boxTable(headings, rows), ...staged], data: all });
}

function cellText({ pairs, allowed, staged }: Cell): string {
  if (pairs === 0) return '-';
  const words = (count: number): string =>
    count === pairs ? 'all' : count === 0 ? 'none' : `${count} of ${pairs}`;
  const { denied = 0, opened = 0 } = staged ?? {};
  const now = words(allowed);
  return denied + opened === 0 ? now : `${now} (staged: ${words(allowed - denied + opened)})`;
}

function stagedSummary(cells: readonly Cell[]): string {
  const sum = (count: (cell: Cell) => number) =>
    cells.reduce((total, cell) => total + count(cell), 0);
  const denied = sum(({ staged }) => staged?.denied ?? 0);
  const opened = sum(({ staged }) => staged?.opened ?? 0);
  const allowed = sum((cell) => cell.allowed);
  return `staged policies would deny ${denied} of the ${allowed} pairs that may talk, and open ${opened}`;
}
