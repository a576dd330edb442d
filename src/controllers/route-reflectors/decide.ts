// Automatic route reflectors: which nodes reflect, and the next safe step on the way there. A node
// becomes a reflector in three steps, each after the one before has settled, so that every node has a
// way to every other all the time:
//   labelled    the BGPPeer selects it: all nodes hold a session with it (the mesh's goes on)
//   reflecting  routeReflectorClusterID: it leaves the mesh and passes on what it learns
//   mesh off    when all that shall reflect do
// and back in the opposite order. Pure; one step is a set of writes that belong together.

/** A node as the datastore and Kubernetes show it. */
export interface Candidate {
  readonly name: string;
  /** `topology.kubernetes.io/zone`; empty where there is none. */
  readonly zone: string;
  /** Ready, not cordoned, with a BGP address, and no reflector of somebody else: may be chosen. */
  readonly eligible: boolean;
  /** Its labels are those that reflectors are to have. */
  readonly wanted: boolean;
  /** Not cordoned, and not unready for longer than the grace period: a chosen one goes on. */
  readonly alive: boolean;
  /** Carries our label. */
  readonly labelled: boolean;
  /** Has a cluster ID. */
  readonly reflecting: boolean;
}

export interface Facts {
  readonly nodes: readonly Candidate[];
  /** Reflectors wanted in each zone; 0 takes all away. */
  readonly perZone: number;
  readonly meshEnabled: boolean;
  /** The BGPPeer of every node with the labelled ones is there as we write it. */
  readonly peerInPlace: boolean;
  /** Nothing of this has changed for the time that sessions and routes take. */
  readonly settled: boolean;
}

export type Step =
  /** Labels, and the BGPPeer with them. */
  | { readonly kind: 'label'; readonly nodes: readonly string[] }
  | { readonly kind: 'reflect'; readonly nodes: readonly string[] }
  | { readonly kind: 'meshOff' }
  | { readonly kind: 'meshOn' }
  | { readonly kind: 'stopReflecting'; readonly nodes: readonly string[] }
  | { readonly kind: 'unlabel'; readonly nodes: readonly string[] }
  | { readonly kind: 'removePeer' };

/** As many reflectors as there are nodes that may be. */
export const EVERY_NODE = Number.MAX_SAFE_INTEGER;

/** The nodes that shall reflect: those that do keep it; the others in an order of their own. */
export function chooseReflectors(
  { nodes, perZone }: Pick<Facts, 'nodes' | 'perZone'>,
  rank: (name: string) => string,
): readonly string[] {
  const zones = new Map<string, Candidate[]>();
  for (const node of nodes) {
    if (!node.wanted || !(node.labelled ? node.alive : node.eligible)) continue;
    zones.set(node.zone, [...(zones.get(node.zone) ?? []), node]);
  }
  const order = (node: Candidate): string =>
    `${node.labelled ? 0 : 1}${node.reflecting ? 0 : 1}${rank(node.name)}`;
  return [...zones.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, members]) =>
      members
        .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
        .slice(0, perZone)
        .map(({ name }) => name),
    );
}

/** The next step; undefined: nothing to do, or something is still settling. */
export function nextStep(facts: Facts, rank: (name: string) => string): Step | undefined {
  const chosen = new Set(chooseReflectors(facts, rank));
  const ours = facts.nodes.filter(({ labelled }) => labelled);
  return chosen.size > 0 ? towards(facts, chosen, ours) : away(facts, ours);
}

const names = (nodes: readonly Candidate[]): readonly string[] => nodes.map(({ name }) => name);

function towards(
  { nodes, peerInPlace, meshEnabled, settled }: Facts,
  chosen: ReadonlySet<string>,
  ours: readonly Candidate[],
): Step | undefined {
  const wanted = nodes.filter(({ name }) => chosen.has(name));
  const unlabelled = wanted.filter(({ labelled }) => !labelled);
  if (unlabelled.length > 0 || !peerInPlace) return { kind: 'label', nodes: names(unlabelled) };
  const idle = wanted.filter(({ reflecting }) => !reflecting);
  // With neither a mesh nor a reflector alive, there is nothing that haste could break.
  const nobody = !meshEnabled && !ours.some(({ alive, reflecting }) => alive && reflecting);
  if (!settled && !nobody) return undefined;
  if (idle.length > 0) return { kind: 'reflect', nodes: names(idle) };
  if (meshEnabled) return { kind: 'meshOff' };
  return retire(ours.filter(({ name }) => !chosen.has(name)));
}

// Without the mesh nobody may stop reflecting: it comes first.
function away(facts: Facts, ours: readonly Candidate[]): Step | undefined {
  const { perZone, meshEnabled, peerInPlace, settled } = facts;
  // Nobody can reflect now: what there is stays as it is.
  if (perZone > 0 || (ours.length === 0 && !peerInPlace)) return undefined;
  if (!meshEnabled) return { kind: 'meshOn' };
  if (!settled) return undefined;
  return retire(ours) ?? { kind: 'removePeer' };
}

function retire(nodes: readonly Candidate[]): Step | undefined {
  const reflecting = nodes.filter((node) => node.reflecting);
  if (reflecting.length > 0) return { kind: 'stopReflecting', nodes: names(reflecting) };
  return nodes.length > 0 ? { kind: 'unlabel', nodes: names(nodes) } : undefined;
}
