// The chart's settings as Calico resources: BGPConfiguration, FelixConfiguration and the default
// pool. Fields that the chart does not set keep what others stored. A pool's CIDR and block size are
// never changed under running pods: the value is ignored and the way out is said.
import { fail, ok, type Result } from '../../base/result.ts';
import { DEFAULT_AS_NUMBER } from '../../model/bgp-configuration.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { EncapsulationMode, IpPoolSpec } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import { BFD_ANNOTATION, CIDRS_ANNOTATION } from '../../model/reading/bgp-annotations.ts';
import { parseAsn } from '../../net/asn.ts';
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import type { Wanted } from '../wanted.ts';
import { othersFields, ownAnnotations, type Present } from './own-fields.ts';

export interface ClusterSettings {
  readonly mesh: boolean;
  /** More than 0: the route reflector controller decides when the mesh may go. */
  readonly reflectorsPerZone?: number;
  readonly asNumber: number;
  /** Text of BGPConfiguration's annotation; empty leaves it as it is. */
  readonly bfd?: string;
  /** Further fields of BGPConfiguration `default`, and of FelixConfiguration `default`. */
  readonly bgp?: object;
  readonly felix?: object;
  /** What BGPConfiguration's annotation says; nothing: there is none of ours. */
  readonly additionalCidrs?: readonly string[];
  /** MTU inside a tunnel in bytes; undefined leaves it to the policy engine. */
  readonly tunnelMtu: number | undefined;
  readonly pool: {
    readonly cidr: string;
    readonly blockSize: number;
    readonly ipipMode: EncapsulationMode;
    readonly vxlanMode: EncapsulationMode;
    readonly natOutgoing: boolean;
    readonly disabled: boolean;
    /** Empty: as the pool has it. */
    readonly nodeSelector?: string;
    /** Undefined: as the pool has it. */
    readonly disableBgpExport?: boolean | undefined;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;
const MTU_MAX = 65_535;
const NO_EXPORT = 'CALICO_IPV4POOL_DISABLE_BGP_EXPORT';
const [BLOCK_SIZE_MIN, BLOCK_SIZE_DEFAULT, BLOCK_SIZE_MAX] = [20, 26, 32];
const MODES: readonly EncapsulationMode[] = ['Always', 'CrossSubnet', 'Never'];

/** Errors: the first variable that cannot be used, with the fix. */
export function clusterSettings(env: Environment): Result<ClusterSettings> {
  const wrong: string[] = [];
  const read = <T>(
    name: string,
    otherwise: string,
    parse: (text: string) => T | undefined,
    must: string,
  ): T | undefined => {
    const text = env[name] || otherwise;
    const value = parse(text);
    if (value === undefined) wrong.push(`${name}: '${text}' ${must}`);
    return value;
  };
  const truth = (name: string, otherwise: boolean): boolean =>
    read(name, String(otherwise), parseTruth, 'must be true or false') ?? otherwise;
  const settings = {
    mesh: truth('CALICO_SETTINGS_MESH', true),
    asNumber: read(
      'CALICO_SETTINGS_ASNUMBER',
      String(DEFAULT_AS_NUMBER),
      parseAsn,
      'is no AS number (1 to 4294967295)',
    ),
    bfd: env['CALICO_SETTINGS_BFD'] ?? '',
    tunnelMtu:
      read('CALICO_SETTINGS_MTU', '0', integerIn(0, MTU_MAX), 'is no MTU in bytes') || undefined,
    pool: {
      cidr: read(
        'CALICO_IPV4POOL_CIDR',
        '192.168.0.0/16',
        parseIpv4Cidr,
        'is no IPv4 CIDR, for example 192.168.0.0/16',
      ),
      blockSize: read(
        'CALICO_IPV4POOL_BLOCK_SIZE',
        String(BLOCK_SIZE_DEFAULT),
        integerIn(BLOCK_SIZE_MIN, BLOCK_SIZE_MAX),
        `must be ${BLOCK_SIZE_MIN} to ${BLOCK_SIZE_MAX}`,
      ),
      ipipMode: read(
        'CALICO_IPV4POOL_IPIP',
        'Never',
        parseMode,
        `must be one of ${MODES.join(', ')}`,
      ),
      vxlanMode: read(
        'CALICO_IPV4POOL_VXLAN',
        'Never',
        parseMode,
        `must be one of ${MODES.join(', ')}`,
      ),
      natOutgoing: truth('CALICO_IPV4POOL_NAT_OUTGOING', true),
      disabled: truth('CALICO_IPV4POOL_DISABLED', false),
      nodeSelector: env['CALICO_IPV4POOL_NODE_SELECTOR'] ?? '',
      disableBgpExport: env[NO_EXPORT] ? truth(NO_EXPORT, false) : undefined,
    },
  };
  return wrong[0] === undefined ? ok(settings as ClusterSettings) : fail(wrong[0]);
}

const parseTruth = (text: string): boolean | undefined =>
  ({ true: true, false: false })[text.toLowerCase()];

const integerIn =
  (min: number, max: number) =>
  (text: string): number | undefined =>
    /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined;

const parseMode = (text: string): EncapsulationMode | undefined =>
  MODES.find((mode) => mode.toLowerCase() === text.toLowerCase());

function parseIpv4Cidr(text: string): Cidr | undefined {
  const parsed = parseCidr(text);
  return parsed && cidrFamily(parsed) === 4 ? parsed : undefined;
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

type Stored = (key: string) => Present | undefined;

/**
 * `stored` gives what is in the datastore now; `otherPool`: the cluster has an IPv4 pool of
 * another name. Then a missing default pool is missing on purpose and is not made again.
 */
export function wantedSettings(
  settings: ClusterSettings,
  stored: Stored,
  otherPool = false,
): { readonly wanted: readonly Wanted[]; readonly ignored: readonly Ignored[] } {
  const present = stored(SETTINGS_KEYS.pool)?.spec as IpPoolSpec | undefined;
  const wantsPool = present !== undefined || !otherPool;
  const wanted: readonly Wanted[] = [
    wantedBgp(settings, stored(SETTINGS_KEYS.bgp)),
    wantedFelix(settings, stored(SETTINGS_KEYS.felix)),
    ...(wantsPool
      ? [
          {
            key: SETTINGS_KEYS.pool,
            kind: 'IPPool',
            metadata: { name: 'default-ipv4-ippool' },
            spec: poolSpec(settings, present),
          },
        ]
      : []),
  ];
  return { wanted, ignored: present ? ignoredOf(settings, present) : [] };
}

const NOTHING: Present = { spec: {}, annotations: {} };

function wantedBgp(settings: ClusterSettings, present = NOTHING): Wanted {
  const { bgp = {}, bfd, additionalCidrs = [] } = settings;
  const texts = { [CIDRS_ANNOTATION]: additionalCidrs.join(',') };
  const annotations = {
    ...ownAnnotations(bgp, texts, present.annotations),
    ...(bfd ? { [BFD_ANNOTATION]: bfd } : {}),
  };
  return {
    key: SETTINGS_KEYS.bgp,
    kind: 'BGPConfiguration',
    metadata: { name: 'default', annotations },
    spec: {
      logSeverityScreen: 'Info',
      ...othersFields(present),
      ...bgp,
      ...(settings.reflectorsPerZone ? {} : { nodeToNodeMeshEnabled: settings.mesh }),
      asNumber: settings.asNumber,
    },
  };
}

function wantedFelix(settings: ClusterSettings, present = NOTHING): Wanted {
  const { felix = {} } = settings;
  const others: FelixConfigurationSpec = { ...othersFields(present), ...felix };
  return {
    key: SETTINGS_KEYS.felix,
    kind: 'FelixConfiguration',
    metadata: { name: 'default', annotations: ownAnnotations(felix, {}, present.annotations) },
    spec: felixSpec(settings, others),
  };
}

function felixSpec(
  { pool, tunnelMtu }: ClusterSettings,
  present: FelixConfigurationSpec,
): FelixConfigurationSpec {
  const ipipEnabled = pool.ipipMode !== 'Never';
  const vxlanEnabled = pool.vxlanMode !== 'Never';
  return {
    logSeverityScreen: 'Info',
    reportingInterval: '0s',
    ...present,
    ipipEnabled,
    ...(ipipEnabled && tunnelMtu !== undefined ? { ipipMTU: tunnelMtu } : {}),
    ...(vxlanEnabled && tunnelMtu !== undefined ? { vxlanMTU: tunnelMtu } : {}),
  };
}

function ignoredOf({ pool }: ClusterSettings, present: IpPoolSpec): readonly Ignored[] {
  const wayOut = 'add a pool as you want it, disable this one, and recreate the pods';
  const has = (what: string, wanted: string | number, stored: string | number): Ignored => ({
    message: `${what} ${wanted} is ignored: the pool default-ipv4-ippool has ${stored}; ${wayOut}`,
  });
  const blockSize = present.blockSize ?? BLOCK_SIZE_DEFAULT;
  return [
    ...(present.cidr === pool.cidr ? [] : [has('networking.podSubnet', pool.cidr, present.cidr)]),
    ...(blockSize === pool.blockSize ? [] : [has('block size', pool.blockSize, blockSize)]),
  ];
}

function poolSpec({ pool }: ClusterSettings, present: IpPoolSpec | undefined): IpPoolSpec {
  return {
    cidr: pool.cidr,
    blockSize: pool.blockSize,
    nodeSelector: 'all()',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
    ...present,
    ipipMode: pool.ipipMode,
    vxlanMode: pool.vxlanMode,
    natOutgoing: pool.natOutgoing,
    ...(pool.nodeSelector ? { nodeSelector: pool.nodeSelector } : {}),
    ...(pool.disableBgpExport === undefined ? {} : { disableBGPExport: pool.disableBgpExport }),
    ...(pool.disabled || present?.disabled ? { disabled: pool.disabled } : {}),
  };
}
