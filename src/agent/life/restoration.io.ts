// A datastore that was restored from a backup does not know what came since: pods that live would have
// nobody's address. They are put back into it before this node gives any other one.
import { messageOf } from '../../base/op-error.ts';
import { attachmentOf, NETWORK_ANNOTATION } from '../../cni/attachments.ts';
import { handleSuffix } from '../../cni/request.ts';
import type { AssignOutcome, Held } from '../../ipam/allocator.io.ts';
import { printResource } from '../../model/resource.ts';
import { familyOf } from '../../net/ip.ts';
import { refreshEndpoint } from '../cni/add/assign.io.ts';
import type { CniContext } from '../cni/context.ts';
import type { StoredEndpoint } from '../view.ts';

const OUTSIDE: Held = { ips: [], facts: {} };

export class Restoration {
  private readonly missing = new Map<string, StoredEndpoint>();
  private attempts = 0;

  /** Before the restored state is taken in: what lives here. */
  note({ view, kernel }: Pick<CniContext, 'view' | 'kernel'>): void {
    this.attempts = 0;
    for (const stored of view.endpoints) {
      const { interfaceName } = stored.endpoint.spec;
      if (interfaceName && kernel.link(interfaceName)) this.missing.set(stored.key, stored);
    }
  }

  /** Names of the endpoints that may be missing in the datastore still. */
  get waiting(): readonly string[] {
    return [...this.missing.values()].map(({ endpoint }) => endpoint.metadata.name);
  }

  /** Puts back what lives; answers how many. What cannot be put back goes on waiting. */
  async heal(context: CniContext): Promise<number> {
    let count = 0;
    // Addresses are told of separately, a moment later. Of a backup that is newer than the last
    // address nothing is told: allocations are as they were.
    const isLate = this.missing.size > 0 && ++this.attempts > 1;
    for (const [key, former] of this.missing) {
      if (!(await putBack(context, former, isLate))) continue;
      this.missing.delete(key);
      count++;
    }
    return count;
  }
}

/** True: it is there, or does not live any more. */
async function putBack(
  context: CniContext,
  { key, endpoint }: StoredEndpoint,
  isLate: boolean,
): Promise<boolean> {
  const { kernel, view, allocator, policy, removal, log } = context;
  const { interfaceName = '' } = endpoint.spec;
  await removal.gone(interfaceName); // DEL may have come meanwhile
  if (!kernel.link(interfaceName)) return true;
  const suffix = handleSuffix(attachmentOf(endpoint));
  const [handleId, held] = heldBy(context, endpoint, suffix, isLate) ?? [];
  if (!handleId || !held) return false;
  const value = printResource(endpoint);
  const count = (family: 4 | 6): number => held.ips.filter((ip) => familyOf(ip) === family).length;
  const outcome = await allocator.assign({
    handleId,
    attributes: held.facts,
    count4: count(4),
    count6: count(6),
    requested: held.ips,
    alongside: () => ({
      compares: [{ key, revision: view.endpoint(key)?.revision ?? 0n }],
      writes: [{ kind: 'put', key, value }],
    }),
  });
  if (outcome.kind === 'conflict') await refreshEndpoint(context, key);
  if (outcome.kind !== 'assigned') {
    const why = reasonOf(outcome);
    log.error({ endpoint: endpoint.metadata.name, ips: held.ips, why }, 'not put back');
    return false;
  }
  if (outcome.revision > 0n) view.put({ key, value, revision: outcome.revision });
  void policy.putEndpoint(key, value, outcome.revision).catch(() => {}); // its chains are there
  return true;
}

function heldBy(
  { allocator }: CniContext,
  { metadata }: StoredEndpoint['endpoint'],
  suffix: string,
  isLate: boolean,
): readonly [string, Held] | undefined {
  const found = [...allocator.before()].find(([handle]) => handle.endsWith(suffix));
  if (found) return found;
  const now = [...allocator.handles()].find(([handle]) => handle.endsWith(suffix));
  if (now && isLate) return [now[0], { ips: now[1], facts: allocator.factsOf(now[0]) }];
  // Addresses outside IPAM are in the endpoint alone.
  const isOutside = metadata.annotations?.[NETWORK_ANNOTATION] !== undefined;
  return isOutside ? [suffix, OUTSIDE] : undefined;
}

function reasonOf(outcome: Exclude<AssignOutcome, { kind: 'assigned' }>): string {
  switch (outcome.kind) {
    case 'conflict':
      return 'the endpoint was changed meanwhile';
    case 'unavailable':
      return messageOf(outcome.error);
    default:
      return outcome.message;
  }
}
