// The chart's settings as Calico resources: BGPConfiguration, FelixConfiguration and the default
// pool. Fields that the chart does not set keep what others stored. A pool's CIDR and block size are
// never changed under running pods: the value is ignored and the way out is said.
import { fail, ok, type Result } from '../base/result.ts';
import type { EncapsulationMode, IpPoolSpec } from '../model/ip-pool.ts';
import { resourceKey } from '../model/keys.ts';
import { parseAsn } from '../net/asn.ts';
import { parseCidr } from '../net/cidr.ts';
import type { Wanted } from './wanted.ts';

export interface ClusterSettings {
  readonly mesh: boolean;
  readonly asNumber: number;
  readonly pool: {
    readonly cidr: string;
    readonly blockSize: number;
    readonly ipipMode: EncapsulationMode;
    readonly natOutgoing: boolean;
    readonly disabled: boolean;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;
const MODES: readonly EncapsulationMode[] = ['Always', 'CrossSubnet', 'Never'];

/** Errors: the first variable that cannot be used, with the fix. */
export function clusterSettings(env: Environment): Result<ClusterSettings> {
  const truth = (name: string, otherwise: boolean): boolean =>
    (env[name] ?? String(otherwise)).toLowerCase() === 'true';
  const asNumber = parseAsn(env['CALICO_SETTINGS_ASNUMBER'] ?? '64512');
  if (!asNumber)
    return fail(
      `CALICO_SETTINGS_ASNUMBER: '${env['CALICO_SETTINGS_ASNUMBER']}' is no AS number (1 to 4294967295)`,
    );
  const cidr = parseCidr(env['CALICO_IPV4POOL_CIDR'] ?? '192.168.0.0/16');
  if (!cidr)
    return fail(
      `CALICO_IPV4POOL_CIDR: '${env['CALICO_IPV4POOL_CIDR']}' is no CIDR, for example 192.168.0.0/16`,
    );
  const mode = MODES.find(
    (known) => known.toLowerCase() === (env['CALICO_IPV4POOL_IPIP'] ?? 'Never').toLowerCase(),
  );
  if (!mode)
    return fail(
      `CALICO_IPV4POOL_IPIP: '${env['CALICO_IPV4POOL_IPIP']}' must be one of ${MODES.join(', ')}`,
    );
  return ok({
    mesh: truth('CALICO_SETTINGS_MESH', true),
    asNumber,
    pool: {
      cidr,
      blockSize: Number(env['CALICO_IPV4POOL_BLOCK_SIZE'] || 26),
      ipipMode: mode,
      natOutgoing: truth('CALICO_IPV4POOL_NAT_OUTGOING', true),
      disabled: truth('CALICO_IPV4POOL_DISABLED', false),
    },
  });
}

/** A field of an existing object that is left as it is although the settings say otherwise. */
export interface Ignored {
  readonly message: string;
}

export const SETTINGS_KEYS = {
  bgp: resourceKey('bgpconfigurations', 'default'),
  felix: resourceKey('felixconfigurations', 'default'),
  pool: resourceKey('ippools', 'default-ipv4-ippool'),
} as const;

type Stored = (key: string) => object | undefined;

/** `stored` gives the spec that is in the datastore now. */
export function wantedSettings(
  settings: ClusterSettings,
  stored: Stored,
): { readonly wanted: readonly Wanted[]; readonly ignored: readonly Ignored[] } {
  const { pool } = settings;
  const present = stored(SETTINGS_KEYS.pool) as IpPoolSpec | undefined;
  const ignored: Ignored[] = [];
  if (present && present.cidr !== pool.cidr) {
    ignored.push({
      message:
        `networking.podSubnet ${pool.cidr} is ignored: the pool default-ipv4-ippool exists with ${present.cidr}; ` +
        'add a pool with the new range, disable this one, and recreate the pods',
    });
  }
  const wanted: readonly Wanted[] = [
    {
      key: SETTINGS_KEYS.bgp,
      kind: 'BGPConfiguration',
      metadata: { name: 'default' },
      spec: {
        logSeverityScreen: 'Info',
        ...stored(SETTINGS_KEYS.bgp),
        nodeToNodeMeshEnabled: settings.mesh,
        asNumber: settings.asNumber,
      },
    },
    {
      key: SETTINGS_KEYS.felix,
      kind: 'FelixConfiguration',
      metadata: { name: 'default' },
      spec: {
        logSeverityScreen: 'Info',
        reportingInterval: '0s',
        ...stored(SETTINGS_KEYS.felix),
        ipipEnabled: pool.ipipMode !== 'Never',
      },
    },
    {
      key: SETTINGS_KEYS.pool,
      kind: 'IPPool',
      metadata: { name: 'default-ipv4-ippool' },
      spec: poolSpec(settings, present),
    },
  ];
  return { wanted, ignored };
}

function poolSpec({ pool }: ClusterSettings, present: IpPoolSpec | undefined): IpPoolSpec {
  return {
    cidr: pool.cidr,
    vxlanMode: 'Never',
    blockSize: pool.blockSize,
    nodeSelector: 'all()',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
    ...present,
    ipipMode: pool.ipipMode,
    natOutgoing: pool.natOutgoing,
    ...(pool.disabled || present?.disabled ? { disabled: pool.disabled } : {}),
  };
}
