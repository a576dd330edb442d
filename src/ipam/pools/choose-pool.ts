// Which pools a request may take addresses from, and for those it may not, why: an exhausted ADD
// says it in words.
import type { AllowedUse } from '../../model/ip-pool.ts';
import type { Family } from '../../net/ip.ts';
import type { Pool } from './pool.ts';

export interface PoolChoice {
  readonly usable: readonly Pool[];
  /** `name: reason`, for each pool of the family that was left out. */
  readonly refused: readonly string[];
  /** Some pool was left out only because of what its addresses are for. */
  readonly unqualified: boolean;
}

export interface PoolRequest {
  readonly node: string;
  /** Labels of the node's Calico Node; undefined while there is none. */
  readonly nodeLabels: Readonly<Record<string, string>> | undefined;
  readonly family: Family;
  /** Names or CIDRs; when given, selectors and assignmentMode are ignored. */
  readonly asked: readonly string[];
  readonly use: AllowedUse;
  readonly namespace:
    | { readonly name: string; readonly labels: Readonly<Record<string, string>> }
    | undefined;
}

/** `pools` in the order in which they are tried. */
export function choosePools(pools: readonly Pool[], request: PoolRequest): PoolChoice {
  const usable: Pool[] = [];
  const refused: string[] = [];
  let unqualified = false;
  for (const pool of pools) {
    if (pool.family !== request.family) continue;
    const reason = refusal(pool, request);
    const qualified = allows(pool, request.use);
    if (reason) refused.push(`${pool.name}: ${reason}`);
    else if (!qualified) refused.push(`${pool.name}: allowedUses has no ${request.use}`);
    else usable.push(pool);
    unqualified ||= !reason && !qualified;
  }
  return { usable, refused, unqualified };
}

/** Every asked pool must exist, be enabled and of the family: which one is not, in words. */
export function askedProblem(
  pools: readonly Pool[],
  { asked, family }: PoolRequest,
): string | undefined {
  for (const name of asked) {
    const pool = pools.find((one) => isNamed(one, name));
    if (!pool) return `the requested pool ${name} does not exist`;
    if (pool.spec.disabled) return `the requested pool ${name} is disabled`;
    if (pool.family !== family) return `the requested pool ${name} is not IPv${family}`;
    if (pool.wrong) return `the requested pool ${name}: ${pool.wrong}`;
  }
  return undefined;
}

const isNamed = (pool: Pool, name: string): boolean =>
  pool.name === name || pool.cidr === name || pool.spec.cidr === name;

const DEFAULT_USES: readonly string[] = ['Workload', 'Tunnel'];

/** Whether addresses of the pool may be for that. */
export const allows = ({ spec }: Pool, use: AllowedUse): boolean =>
  (spec.allowedUses?.length ? spec.allowedUses : DEFAULT_USES).includes(use);

function refusal(pool: Pool, request: PoolRequest): string | undefined {
  const { asked } = request;
  if (pool.spec.disabled) return 'disabled';
  if (pool.wrong) return pool.wrong;
  if (asked.length > 0 && !asked.some((name) => isNamed(pool, name))) return 'not asked for';
  return asked.length > 0 ? undefined : unselected(pool, request);
}

function unselected(pool: Pool, request: PoolRequest): string | undefined {
  if (pool.spec.assignmentMode === 'Manual') return 'assignmentMode is Manual';
  return unselectedNode(pool, request) ?? unselectedNamespace(pool, request);
}

/** Why the pool is not for this node; undefined when it is. */
export function unselectedNode(
  { nodes }: Pool,
  { node, nodeLabels }: Pick<PoolRequest, 'node' | 'nodeLabels'>,
): string | undefined {
  if (nodes.all) return undefined;
  if (nodes.wrong) return `nodeSelector: ${nodes.wrong}`;
  if (!nodeLabels) return `nodeSelector ${nodes.text}: there is no Node ${node} to have labels`;
  return nodes.selects(nodeLabels)
    ? undefined
    : `nodeSelector ${nodes.text} does not select this node`;
}

function unselectedNamespace({ namespaces }: Pool, { namespace }: PoolRequest): string | undefined {
  if (namespaces.all) return undefined;
  if (namespaces.wrong) return `namespaceSelector: ${namespaces.wrong}`;
  if (!namespace) return `namespaceSelector ${namespaces.text}: the request has no namespace`;
  return namespaces.selects(namespace.labels)
    ? undefined
    : `namespaceSelector ${namespaces.text} does not select namespace ${namespace.name}`;
}
