// The agent's one watch of the datastore, and who is told of what it brings.
import type { Log } from '../../base/log.io.ts';
import { freshTurn, isSliceOver } from '../../base/pause.io.ts';
import type { Change } from '../../datastore/store.ts';
import type { Allocator } from '../../ipam/allocator.io.ts';
import { RESOURCES, resourceKey } from '../../model/keys.ts';
import type { AgentParts } from '../agent.io.ts';
import { effectiveSettings } from '../mtu/settings.ts';
import { HostAddresses } from '../policy-engine/host-addresses.io.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import { encapsulationProblem, type Started } from '../start-up.io.ts';
import { type NodeTunnels, openTunnels } from '../tunnels/open.io.ts';
import type { DatastoreView } from '../view.ts';
import { Forwarding } from './forwarding.io.ts';
import type { Progress } from './progress.ts';

interface TunnelParts {
  readonly view: DatastoreView;
  readonly allocator: Allocator;
  readonly progress: Progress;
}

/** The node's tunnel devices; idle until they are woken. */
export function openTunnel(
  parts: AgentParts,
  { node }: Started,
  { view, allocator, progress }: TunnelParts,
): NodeTunnels {
  const tunnels: NodeTunnels = openTunnels(parts, {
    node,
    view,
    allocator,
    mtu: (tunnel) => effectiveSettings(parts.settings.mtu, view.felixConfiguration).tunnels[tunnel],
    onChange: () => checkEncapsulation(view, tunnels, progress, parts.log),
  });
  return tunnels;
}

/** One watch of everything that the agent works from, from now on. */
export function followDatastore(
  parts: AgentParts,
  node: string,
  view: DatastoreView,
  policy: PolicyEngine,
  progress: Progress,
  tunnels: NodeTunnels,
): void {
  const { store, log, signal } = parts;
  const tell = policy.setHostAddresses.bind(policy);
  const addresses = new HostAddresses(parts.kernel, tell, log, signal);
  const forwarding = new Forwarding(parts.kernel, node, log);
  const followHost = (): void => {
    if (policy.needsHostAddresses) addresses.follow();
    forwarding.look(policy.facts.world);
  };
  const look = (): void => {
    checkEncapsulation(view, tunnels, progress, log);
    progress.host?.mtu.look();
    tunnels.overlay.look();
    if (progress.context) tunnels.devices.wake();
  };
  // Before the first rules are written: a restart must not open what is closed.
  addresses.read();
  store.watch(
    RESOURCES,
    {
      snapshot({ items }) {
        view.snapshot(items);
        void inTurnOfItsOwn(look, signal);
        void policy.snapshot(items).then(followHost);
      },
      changes(changes) {
        view.changes(changes);
        policy.changes(changes);
        followHost();
        checkEncapsulation(view, tunnels, progress, log);
        if (changes.some(concernsNetwork)) {
          progress.host?.mtu.look();
          tunnels.overlay.look();
        }
        tunnels.devices.changes(changes);
      },
      restored(why) {
        if (!progress.context) return; // nothing was served yet
        progress.recovery.restoration.note(progress.context);
        progress.recovery.soon();
        log.error({ why }, 'the datastore was restored: what lives here is put back into it first');
      },
      connection: ({ up, error }) => {
        if (up && progress.lost) progress.recovery.soon();
        progress.lost = up ? undefined : (error?.message ?? 'no connection');
        if (up) log.info('datastore connection is up');
        else log.warn({ cause: error?.message }, 'datastore connection lost');
      },
    },
    signal,
  );
}

// After a snapshot, before the long work that it brings. Many links take milliseconds.
async function inTurnOfItsOwn(look: () => void, signal: AbortSignal): Promise<void> {
  await freshTurn();
  isSliceOver(); // this is long work too
  if (!signal.aborted) look();
}

const NETWORK_KEYS = (['ippools', 'felixconfigurations', 'bgpconfigurations'] as const).map(
  (plural) => resourceKey(plural, ''),
);
const concernsNetwork = (change: Change): boolean => {
  const key = change.kind === 'put' ? change.item.key : change.key;
  return NETWORK_KEYS.some((prefix) => key.startsWith(prefix));
};

function checkEncapsulation(
  view: DatastoreView,
  { devices }: NodeTunnels,
  progress: Progress,
  log: Log,
): void {
  const problem = encapsulationProblem(
    view.pools.filter((pool) => !pool.spec.disabled),
    (each) => devices.problem(each),
  );
  if (problem && problem !== progress.problem) log.error(problem);
  progress.problem = problem;
}
