// What a change of the settings does to a cluster that runs, in words.
import type { Json } from '../../base/json.ts';
import { valueAt } from '../../model/settings/list-rules.ts';
import type { Values } from '../../model/settings/schema.ts';
import { isOn } from '../../model/settings/settings.ts';
import { effectiveMtu } from '../constructs/settings.ts';
import type { ObjectChange } from './difference.ts';

export interface Effect {
  /**
   * `refused`: the API server or the controllers will not do it. `ignored`: it has no effect.
   * `disrupts`: packets or sessions are lost meanwhile. `restarts`: pods start anew, packets flow on.
   * `live`: it takes effect at once.
   */
  readonly kind: 'refused' | 'ignored' | 'disrupts' | 'restarts' | 'live';
  readonly words: string;
}

/** From the gravest down. */
const GRAVITY: readonly Effect['kind'][] = ['refused', 'disrupts', 'ignored', 'restarts', 'live'];

export function effectsOf(
  before: Values,
  after: Values,
  changes: readonly ObjectChange[],
): readonly Effect[] {
  const effects = [
    ...settingEffects(before, after),
    ...listEffects(before, after),
    ...objectEffects(changes, after),
  ];
  return effects.toSorted((a, b) => GRAVITY.indexOf(a.kind) - GRAVITY.indexOf(b.kind));
}

interface SettingEffect {
  readonly path: string;
  readonly kind: Effect['kind'];
  readonly words: string;
}

const SETTINGS: readonly SettingEffect[] = [
  {
    path: 'networking.podSubnet',
    kind: 'refused',
    words:
      'the pool default-ipv4-ippool exists and keeps its prefix: Job calico-pools-check refuses the upgrade. ' +
      'To renumber: add the new prefix to networking.pools, disable the old pool ' +
      '(networking.settings.ippool.disabled), recreate the pods',
  },
  {
    path: 'networking.settings.ippool.block_size',
    kind: 'refused',
    words:
      'the pool default-ipv4-ippool exists and keeps the size of its blocks: make another pool',
  },
  {
    path: 'networking.bgp.asnumber',
    kind: 'disrupts',
    words:
      'every BGP session of a node without an AS number of its own is torn down and comes up again; ' +
      'routes between nodes are gone meanwhile',
  },
  {
    path: 'networking.settings.mesh',
    kind: 'disrupts',
    words:
      'the sessions between nodes end or begin; with the mesh off, nodes need peers or route ' +
      'reflectors before, or pods of different nodes lose one another',
  },
  ...['networking.bgp.ipv4.additional_cidrs', 'networking.bgp.ipv6.additional_cidrs'].map(
    (path): SettingEffect => ({ path, kind: 'live', words: 'peers hear of it, or no longer do' }),
  ),
  ...['bgpConfiguration', 'felixConfiguration'].map(
    (path): SettingEffect => ({
      path,
      kind: 'live',
      words: 'running agents and speakers follow; a session whose own facts changed begins anew',
    }),
  ),
  {
    path: 'conf.cni_network_config',
    kind: 'live',
    words: 'for pods that are made once their node pod has restarted; those that run stay',
  },
  ...['per_zone', 'node_selector'].map(
    (setting): SettingEffect => ({
      path: `networking.bgp.route_reflectors.${setting}`,
      kind: 'live',
      words:
        'reflectors are made before the mesh goes, and the mesh before reflectors go; no route is lost',
    }),
  ),
  {
    path: 'networking.settings.ippool.ipip.mode',
    kind: 'disrupts',
    words: 'routes between nodes are rewritten; packets under way may be lost for a moment',
  },
  {
    path: 'networking.settings.ippool.vxlan.mode',
    kind: 'disrupts',
    words: 'routes between nodes are rewritten; packets under way may be lost for a moment',
  },
  {
    path: 'networking.settings.ippool.nat_outgoing',
    kind: 'live',
    words: 'for new connections; those that are open keep their addresses',
  },
  {
    path: 'networking.settings.ippool.disabled',
    kind: 'live',
    words: 'for new pods; those that run keep their addresses',
  },
  { path: 'networking.bgp.bfd', kind: 'live', words: 'beside the sessions, which stay' },
  {
    path: 'etcd.clusterIP',
    kind: 'refused',
    words:
      'the address of a Service cannot be changed: delete Service calico-etcd first; every agent ' +
      'restarts to find the new one',
  },
  {
    path: 'etcd.peerPort',
    kind: 'disrupts',
    words: 'calico-etcd restarts; its data knows the old peer address and must be told the new one',
  },
  {
    path: 'etcd.enabled',
    kind: 'disrupts',
    words:
      'another datastore: without its data pods are unknown, and get addresses that may be in use',
  },
  {
    path: 'etcd.endpoints',
    kind: 'disrupts',
    words:
      'another datastore: without its data pods are unknown, and get addresses that may be in use',
  },
  {
    path: 'etcd.members',
    kind: 'live',
    words:
      'raised: further nodes join, one at a time; lowered: those that are members stay members',
  },
  {
    path: 'etcd.restore',
    kind: 'disrupts',
    words:
      'calico-etcd begins anew from that snapshot, on all members at once; what was stored since is ' +
      'given up, and pods made since are unknown until they are made anew',
  },
  {
    path: 'etcd.tls.mode',
    kind: 'disrupts',
    words:
      'calico-etcd and all that ask it restart to speak TLS or no longer to; meanwhile no pod starts ' +
      'or ends, traffic and policy go on',
  },
  {
    path: 'etcd.tls.rotate_authority',
    kind: 'disrupts',
    words:
      'another authority is made, and calico-etcd restarts to trust it too, one member after the other; a ' +
      'single member is away for seconds. The next upgrade lets it sign, the one after it gives the former up',
  },
  {
    path: 'etcd.tls.rotate',
    kind: 'live',
    words:
      'new certificates reach the pods within about a minute and serve for new connections; nothing ' +
      'restarts',
  },
];

// "on" and true are one setting.
const meaning = (value: Json): Json =>
  typeof value === 'string' && /^(on|off|yes|no|true|false)$/i.test(value) ? isOn(value) : value;

function settingEffects(before: Values, after: Values): readonly Effect[] {
  const changed = (path: string): boolean => {
    const at = (values: Values): string =>
      JSON.stringify(meaning(valueAt(values as unknown as Json, path.split('.')) ?? null));
    return at(before) !== at(after);
  };
  const effects = SETTINGS.filter(({ path }) => changed(path)).map(
    ({ path, kind, words }): Effect => ({ kind, words: `${path}: ${words}` }),
  );
  return [...effects, ...mtuEffects(before, after), ...backendEffects(before, after)];
}

function mtuEffects(before: Values, after: Values): readonly Effect[] {
  const [was, is] = [effectiveMtu(before), effectiveMtu(after)];
  if (was === is) return [];
  const byHand = after.pod.calico_node.update_strategy === 'OnDelete';
  const restarted = byHand
    ? ' once you have deleted the node pod of their node'
    : ', once the upgrade has restarted the node pod of their node';
  const isLive = before.networking.mtu === after.networking.mtu;
  const words =
    `networking.mtu: pods get an MTU of ${is} instead of ${was} when they are made anew` +
    `${isLive ? '' : restarted}; those that run keep theirs`;
  return [{ kind: 'live', words }];
}

/** Routes of pools without VXLAN are the speakers', and these come node by node. */
function backendEffects(before: Values, after: Values): readonly Effect[] {
  const speaks = ({ conf: { node } }: Values): boolean =>
    (node['CALICO_NETWORKING_BACKEND'] ?? 'bird') === 'bird';
  const isOverlay = ({ networking: { settings } }: Values): boolean =>
    settings.ippool.vxlan.mode !== 'Never';
  const first = (path: string, what: string, then: string): readonly Effect[] => [
    {
      kind: 'disrupts',
      words:
        `${path}: pods on different nodes lose each other until both nodes have changed; set ${what} ` +
        `first, and ${then} when the node pods have restarted`,
    },
  ];
  const backend = 'conf.node.CALICO_NETWORKING_BACKEND';
  const mode = 'networking.settings.ippool.vxlan.mode';
  if (speaks(before) && !speaks(after) && !isOverlay(before)) return first(backend, mode, 'this');
  const leaves = isOverlay(before) && !isOverlay(after);
  return !speaks(before) && leaves ? first(mode, `${backend}: bird`, 'this') : [];
}

function listEffects(before: Values, after: Values): readonly Effect[] {
  const pools = (values: Values) => values.networking.pools.map(({ name }) => name);
  const peers = ({ networking: { bgp } }: Values) =>
    [bgp.ipv4, bgp.ipv6].flatMap((family) =>
      (family?.peers ?? []).map((peer) => ({
        name: peer.metadata.name,
        text: JSON.stringify(peer),
      })),
    );
  const [oldPeers, newPeers] = [peers(before), peers(after)];
  return [
    ...pools(before)
      .filter((name) => !pools(after).includes(name))
      .map(
        (name): Effect => ({
          kind: 'live',
          words: `pool ${name}: disabled and kept, since pods may have addresses of it`,
        }),
      ),
    ...before.networking.pools.flatMap((pool): readonly Effect[] => {
      const now = after.networking.pools.find(({ name }) => name === pool.name);
      if (!now || (now.cidr === pool.cidr && now.blockSize === pool.blockSize)) return [];
      const words = `pool ${pool.name}: cidr and blockSize of a pool in use must stay; make another pool`;
      return [{ kind: 'refused', words }];
    }),
    ...oldPeers.flatMap(({ name, text }): readonly Effect[] => {
      const now = newPeers.find((peer) => peer.name === name);
      if (now?.text === text) return [];
      const words = now
        ? 'its session begins anew where its own facts changed'
        : 'its session ends';
      return [{ kind: 'disrupts', words: `BGP peer ${name}: ${words}` }];
    }),
  ];
}

const RESTARTS: Readonly<Record<string, string>> = {
  'DaemonSet calico-node':
    'calico-node restarts node by node; routes and rules stay, pods keep their connections, new pods ' +
    'of the node wait a few seconds',
  'Deployment calico-kube-controllers':
    'calico-kube-controllers restarts; changes of namespaces and policies wait a few seconds',
};

const RESTARTS_BY_HAND =
  'calico-node restarts on a node once you have deleted its pod there (update_strategy OnDelete)';

function objectEffects(
  changes: readonly ObjectChange[],
  { pod: { calico_node } }: Values,
): readonly Effect[] {
  const byHand = calico_node.update_strategy === 'OnDelete';
  return changes.flatMap(({ object, change, fields }): readonly Effect[] => {
    const starts = fields.some(({ path }) => path.startsWith('spec.template'));
    const isEtcd = object === 'DaemonSet calico-etcd';
    if (change === 'removed') return [{ kind: 'disrupts', words: `${object} goes` }];
    if (!starts) return [];
    if (isEtcd)
      return [
        {
          kind: 'disrupts',
          words: 'calico-etcd restarts: no pod starts or ends meanwhile; traffic and policy go on',
        },
      ];
    const words = RESTARTS[object] ?? `${object} restarts`;
    const isByHand = byHand && object === 'DaemonSet calico-node';
    return [{ kind: 'restarts', words: isByHand ? RESTARTS_BY_HAND : words }];
  });
}
