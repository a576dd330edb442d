// One request's place in a batch: what it takes and frees, with the blocks that must be claimed first.
import { assert } from '../base/assert.ts';
import { OpError } from '../base/op-error.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import type { Batch } from './batch.ts';
import { ownerOf } from './block.ts';
import { type ClaimContext, claimBlock } from './claim/claim.io.ts';
import type { IpamView } from './ipam-view.ts';
import { formerEndpoints } from './kept/former-endpoint.io.ts';
import { pickAny, pickRequested } from './pick.ts';
import {
  type AssignOutcome,
  type AssignRequest,
  COUNT_MAX,
  type ReleaseOutcome,
  type ReleaseRequest,
} from './request.ts';
import type { Upkeep } from './upkeep.io.ts';

/** Lost races before a request is given up. */
export const CONFLICTS_MAX = 100;

export interface PlaceContext {
  readonly claims: ClaimContext;
  readonly view: IpamView;
  readonly upkeep: Upkeep;
}

/** What a request gets when the batch is committed. */
export type Success =
  | Extract<AssignOutcome, { kind: 'assigned' }>
  | Extract<ReleaseOutcome, { kind: 'released' }>;

type Failure = Exclude<AssignOutcome, { kind: 'assigned' }>;

/** `later`: an earlier member of the batch is about the same. `index` is the member's number. */
export function placeRelease(
  batch: Batch,
  request: ReleaseRequest,
  index: number,
): ReleaseOutcome | 'later' {
  if (batch.touches(request.handleId)) return 'later';
  const ips = batch.release(request);
  if (!ips) {
    const message = `an address of ${request.handleId} was given out anew`;
    return { kind: 'refused', message };
  }
  if (request.alongside && !batch.addAlongside(index, request.alongside)) return 'later';
  return { kind: 'released', ips };
}

export async function placeAssign(
  context: PlaceContext,
  batch: Batch,
  request: AssignRequest,
  index: number,
): Promise<AssignOutcome | 'later'> {
  if (batch.touches(request.handleId)) return 'later';
  assert(request.count4 + request.count6 <= COUNT_MAX, 'so many addresses are several requests');
  batch.hold(request.handleId);
  const present = context.view.addressesOf(request.handleId);
  const ips: Ip[] = [...present]; // a repeated ADD keeps what it has
  const why = request.keep && (strangerProblem(context, request) ?? foreignBlock(context, request));
  if (why) return { kind: 'refused', message: why };
  const failure = request.keep && (await moveHere(context, batch, request, present));
  if (failure) return failure;
  for (const family of [4, 6] as const) {
    const count = family === 4 ? request.count4 : request.count6;
    const requested = request.requested?.find((ip) => familyOf(ip) === family);
    const had = present.filter((ip) => familyOf(ip) === family).length;
    for (let n = had; n < count; n++) {
      const taken = await take(context, batch, request, n === 0 && requested ? requested : family);
      if (typeof taken !== 'string') return taken;
      ips.push(taken);
    }
  }
  if (!batch.addAlongside(index, request.alongside(ips))) return 'later';
  return { kind: 'assigned', ips, revision: 0n };
}

// The batch holds the block already: who takes the address while the endpoint is looked for makes
// the transaction fail.
async function moveHere(
  { claims: { store, node, failpoint }, view }: PlaceContext,
  batch: Batch,
  request: AssignRequest,
  ips: readonly Ip[],
): Promise<Failure | undefined> {
  const facts = view.factsOf(request.handleId);
  batch.renew(request.handleId, attributesOf(request));
  try {
    await failpoint?.('ipam:before-move');
    batch.drop(
      await formerEndpoints(store, { node, pod: request.attributes['pod'] }, { facts, ips }),
    );
    return undefined;
  } catch (cause) {
    const error = cause instanceof OpError ? cause : new OpError('ipam former endpoint', cause);
    return { kind: 'unavailable', error };
  }
}

const attributesOf = ({ attributes, keep }: AssignRequest): Readonly<Record<string, string>> =>
  keep ? { ...attributes, keep: 'true' } : attributes;

// Whatever made two owners ask under one name: they would share an address.
function strangerProblem(
  { view }: PlaceContext,
  { handleId, attributes }: AssignRequest,
): string | undefined {
  const facts = view.factsOf(handleId);
  const nameIn = (all: Readonly<Record<string, string>>): string =>
    `${all['namespace']}/${all['vmi-name'] ?? all['pod']}`;
  if (facts['pod'] === undefined || nameIn(facts) === nameIn(attributes)) return undefined;
  const kind = facts['vmi-name'] === undefined ? 'pod' : 'VM';
  return `${handleId} keeps an address for ${kind} ${nameIn(facts)}, not for ${nameIn(attributes)}`;
}

// With strict affinity a kept address cannot follow to a node that does not own its block.
function foreignBlock(
  { view, claims }: PlaceContext,
  { handleId }: AssignRequest,
): string | undefined {
  if (!view.config?.strict_affinity) return undefined;
  const owner = ownerOf(claims.node);
  const block = view.blocksOf(handleId).find(({ value }) => value.affinity !== owner)?.value;
  return (
    block && `${handleId} keeps an address in ${block.cidr} of ${block.affinity} (strict affinity)`
  );
}

/** The address `which`, or any of the family. */
async function take(
  { claims, view, upkeep }: PlaceContext,
  batch: Batch,
  request: AssignRequest,
  which: Family | Ip,
): Promise<Ip | Failure> {
  const picking = { view, batch, node: claims.node };
  for (let attempt = 0; attempt < CONFLICTS_MAX; attempt++) {
    const pick =
      typeof which === 'string'
        ? pickRequested(picking, which, request.use ?? 'Workload')
        : pickAny(picking, request, which);
    if (pick.kind === 'block') {
      const { handleId } = request;
      const { cidr, ordinal } = pick;
      return batch.assign({ cidr, handleId, secondary: attributesOf(request), ordinal });
    }
    if (pick.kind !== 'claim') return pick;
    if (!(await upkeep.settled())) await claimBlock(claims, view, pick);
  }
  return {
    kind: 'unavailable',
    error: new OpError('ipam claim', `lost ${CONFLICTS_MAX} races for a block`),
  };
}
