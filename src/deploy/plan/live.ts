// What a cluster has against what it would get: only fields that we write are looked at, since the API
// server fills in the rest; and the settings that its objects were made of.
import { type Json, printJson } from '../../base/json.ts';
import { isObject } from '../../model/resource.ts';
import type { Values } from '../../model/settings/schema.ts';
import { effectiveMtu } from '../constructs/settings.ts';
import type { Manifest } from '../manifests.ts';
import { type FieldChange, nameOf, type ObjectChange } from './difference.ts';

/** `live`: what the cluster has of our names and labels. */
export function liveDifference(
  live: readonly Manifest[],
  wanted: readonly Manifest[],
): readonly ObjectChange[] {
  const there = new Map(live.map((object) => [nameOf(object), object]));
  const names = new Set(wanted.map(nameOf));
  const changes = wanted.flatMap((object): readonly ObjectChange[] => {
    const name = nameOf(object);
    const has = there.get(name);
    if (!has) return [{ object: name, change: 'added', fields: [] }];
    const fields = changedFields(has as Json, object as Json, '');
    return fields.length === 0 ? [] : [{ object: name, change: 'changed', fields }];
  });
  const gone = [...there.keys()].filter((name) => !names.has(name));
  return [
    ...changes,
    ...gone.map((object) => ({ object, change: 'removed' as const, fields: [] })),
  ];
}

function changedFields(has: Json | undefined, wants: Json, path: string): readonly FieldChange[] {
  if (isNothing(wants) && isNothing(has)) return [];
  if (has === undefined && (wants === '' || wants === false || wants === 0)) return [];
  if (Array.isArray(wants)) return changedItems(Array.isArray(has) ? has : [], wants, path);
  if (!isObject(wants) || !isObject(has ?? null)) {
    return printJson(has ?? null) === printJson(wants) ? [] : [{ path, before: has, after: wants }];
  }
  return Object.entries(wants).flatMap(([key, inner]) =>
    changedFields(own(has as Record<string, Json>, key), inner, path ? `${path}.${key}` : key),
  );
}

/** Not what every object of the language has, such as toString. */
const own = (map: Readonly<Record<string, Json>>, key: string): Json | undefined =>
  Object.hasOwn(map, key) ? map[key] : undefined;

/** The API server drops what is empty; texts, numbers and switches too where they are Go's zero. */
const isNothing = (value: Json | undefined): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === 'object' && Object.keys(value).length === 0);

const nameIn = (item: Json | undefined): string | undefined => {
  const name = isObject(item ?? null) ? (item as Record<string, Json>)['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
};

// Items with names are told apart by them: one too many is ours from before, or somebody's.
function changedItems(has: readonly Json[], wants: readonly Json[], path: string) {
  if (![...has, ...wants].every((item) => nameIn(item) !== undefined)) {
    const same = has.length === wants.length;
    const fields = wants.flatMap((item, i) => changedFields(has[i], item, `${path}[${i}]`));
    return same || fields.length > 0 ? fields : [{ path, before: [...has], after: [...wants] }];
  }
  const own = new Map(has.map((item) => [nameIn(item)!, item]));
  const names = new Set(wants.map((item) => nameIn(item)!));
  return [
    ...wants.flatMap((item) =>
      changedFields(own.get(nameIn(item)!), item, `${path}[${nameIn(item)}]`),
    ),
    ...[...own]
      .filter(([name]) => !names.has(name))
      .map(
        ([name, before]): FieldChange => ({ path: `${path}[${name}]`, before, after: undefined }),
      ),
  ];
}

interface Deployed {
  readonly template: {
    readonly spec: {
      readonly containers: readonly {
        readonly env?: readonly { readonly name: string; readonly value?: string }[];
      }[];
    };
  };
}

/** The settings of the network that the objects of a cluster were made of; the rest as it would be. */
export function liveValues(live: readonly Manifest[], wanted: Values): Values {
  const find = (kind: string, name: string): Manifest | undefined =>
    live.find((object) => object.kind === kind && object.metadata.name === name);
  const config = (find('ConfigMap', 'calico-etc')?.['data'] ?? {}) as Record<string, string>;
  const deployment = find('Deployment', 'calico-kube-controllers')?.['spec'] as unknown as
    | Deployed
    | undefined;
  const env = deployment?.template.spec.containers.flatMap((one) => one.env ?? []) ?? [];
  const variable = (name: string): string | undefined =>
    env.find((one) => one.name === name)?.value;
  const text = (find('ConfigMap', 'calico-settings')?.['data'] ?? {}) as Record<string, string>;
  const lists = JSON.parse(text['settings.json'] ?? '{}') as Partial<Lists>;
  const { networking } = wanted;
  const { settings, bgp } = networking;
  type Mode = typeof settings.ippool.ipip.mode;
  const { ipv4pool_ipip: ipip, ipv4pool_vxlan: vxlan } = config as Record<string, Mode>;
  const bfd = variable('CALICO_SETTINGS_BFD');
  const service = find('Service', 'calico-etcd')?.['spec'] as { clusterIP?: string } | undefined;
  const before: Values = {
    ...wanted,
    etcd: { ...wanted.etcd, clusterIP: service?.clusterIP ?? wanted.etcd.clusterIP },
    networking: {
      ...networking,
      podSubnet: config['ipv4pool_cidr'] ?? networking.podSubnet,
      pools: lists.pools ?? networking.pools,
      policy: lists.policy ?? networking.policy,
      settings: {
        mesh: variable('CALICO_SETTINGS_MESH') ?? settings.mesh,
        ippool: {
          ipip: { mode: ipip ?? settings.ippool.ipip.mode },
          vxlan: { mode: vxlan ?? settings.ippool.vxlan.mode },
          nat_outgoing: config['ipv4pool_nat_outgoing'] ?? settings.ippool.nat_outgoing,
          disabled: config['ipv4pool_disabled'] ?? settings.ippool.disabled,
          block_size: Number(config['ipv4pool_block_size'] ?? settings.ippool.block_size),
          node_selector: config['ipv4pool_node_selector'] ?? settings.ippool.node_selector,
          disable_bgp_export:
            config['ipv4pool_disable_bgp_export'] ?? settings.ippool.disable_bgp_export,
        },
      },
      bgp: {
        ...bgp,
        asnumber: Number(variable('CALICO_SETTINGS_ASNUMBER') ?? bgp.asnumber),
        route_reflectors: {
          per_zone: Number(
            variable('CALICO_ROUTE_REFLECTORS_PER_ZONE') ?? bgp.route_reflectors.per_zone,
          ),
          node_selector:
            variable('CALICO_ROUTE_REFLECTORS_NODE_SELECTOR') ?? bgp.route_reflectors.node_selector,
        },
        ...(bfd === undefined ? {} : { bfd }),
        ...(lists.ipv4 === undefined ? {} : { ipv4: lists.ipv4 }),
        ...(lists.ipv6 === undefined ? {} : { ipv6: lists.ipv6 }),
      },
    },
  };
  return withMtu(before, config['cni_mtu']);
}

type Lists = Pick<Values['networking'], 'pools' | 'policy'> &
  Pick<Values['networking']['bgp'], 'ipv4' | 'ipv6'>;

// Objects tell the MTU of pods; that of the network is the one which gives it.
function withMtu(values: Values, podMtu: string | undefined): Values {
  if (podMtu === undefined) return values;
  const { networking } = values;
  const less = networking.mtu - (effectiveMtu(values) as number);
  return { ...values, networking: { ...networking, mtu: Number(podMtu) + less } };
}
