// Which addresses and blocks nobody uses any more: a pure decision on what is known now and what was
// seen at earlier looks. One look never frees anything, and a handle goes whole or not at all.
import { type Allocation, type Facts, graceOf, type OwnedBlock } from './facts.ts';
import { isValid } from './valid.ts';

/** When each thing that may be freed was first seen so, on a monotonic clock. */
export type Observations = ReadonlyMap<string, number>;

export interface Release {
  readonly handle: string;
  readonly only: readonly Allocation[];
}

export interface Decision {
  readonly observations: Observations;
  /** Addresses that seem unused at this look. */
  readonly candidates: readonly Allocation[];
  readonly releases: readonly Release[];
  readonly emptyBlocks: readonly OwnedBlock[];
  /** Nodes that blocks or affinities name although neither Kubernetes nor Calico knows them. */
  readonly forgottenNodes: readonly string[];
}

/** The rest waits for the next look. */
export const RELEASES_MAX = 100;
/** A node whose other blocks are fuller would claim the next one at once. */
const USED_SHARE_MAX = 0.75;

export interface Look {
  readonly now: number;
  /** 0: addresses are left alone. */
  readonly graceMilliseconds: number;
}

export function decide(facts: Facts, before: Observations, look: Look): Decision {
  const observations = new Map<string, number>();
  if (look.graceMilliseconds === 0)
    return { observations, candidates: [], releases: [], emptyBlocks: [], forgottenNodes: [] };
  // Confirmed: seen at an earlier look, and for long enough.
  const confirmed = (id: string, milliseconds: number): boolean => {
    const since = before.get(id);
    observations.set(id, since ?? look.now);
    return since !== undefined && look.now - since >= milliseconds;
  };
  const unused = facts.allocations.filter((allocation) => !isValid(facts, allocation));
  const ready = new Set(
    unused.filter((allocation) =>
      confirmed(idOf(allocation), graceOf(facts, allocation, look.graceMilliseconds)),
    ),
  );
  const emptyBlocks = surplus(
    facts.blocks,
    new Set(
      facts.blocks.filter(
        (block) =>
          block.used === 0 &&
          confirmed(`block ${block.cidr} ${block.sequenceNumber}`, look.graceMilliseconds),
      ),
    ),
  );
  const releases = wholeHandles(facts.allocations, ready).slice(0, RELEASES_MAX);
  const forgottenNodes = forgotten(facts).filter((node) =>
    confirmed(`node ${node}`, look.graceMilliseconds),
  );
  return { observations, candidates: unused, releases, emptyBlocks, forgottenNodes };
}

const forgotten = (facts: Facts): readonly string[] =>
  [...facts.owners].filter(
    (node) =>
      !facts.nodes.has(node) &&
      !facts.kubernetesNodes.has(node) &&
      !facts.allocations.some(
        (allocation) => allocation.attributes['node'] === node && isValid(facts, allocation),
      ),
  );

const idOf = ({ ip, handle, sequenceNumber }: Allocation): string =>
  `${ip} ${handle} ${sequenceNumber}`;

function wholeHandles(
  allocations: readonly Allocation[],
  ready: ReadonlySet<Allocation>,
): readonly Release[] {
  return [...Map.groupBy(allocations, ({ handle }) => handle)].flatMap(([handle, only]) =>
    handle !== undefined && only.every((allocation) => ready.has(allocation))
      ? [{ handle, only }]
      : [],
  );
}

// A node keeps a block of every pool that it has one of, and room in it.
function surplus(
  blocks: readonly OwnedBlock[],
  empty: ReadonlySet<OwnedBlock>,
): readonly OwnedBlock[] {
  const groups = Map.groupBy(blocks, ({ node, pool }) => `${node} ${pool}`).values();
  return [...groups].flatMap((group) => {
    let left = group.length;
    let size = group.reduce((sum, block) => sum + block.size, 0);
    const used = group.reduce((sum, block) => sum + block.used, 0);
    return group.filter((block) => {
      const roomy = left > 1 && used < (size - block.size) * USED_SHARE_MAX;
      if (!empty.has(block) || !roomy) return false;
      left--;
      size -= block.size;
      return true;
    });
  });
}
