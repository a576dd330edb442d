// The pool that a new cluster starts with, from the environment. Only the first node's start makes
// it; afterwards the datastore rules.
import { fail, ok, type Result } from '../../base/result.ts';
import type { EncapsulationMode, IpPoolSpec } from '../../model/ip-pool.ts';
import { type Cidr, cidr, cidrFamily, contains, parseCidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { Environment } from '../environment.ts';

export const DEFAULT_POOL = 'default-ipv4-ippool';

const RANGES: readonly Cidr[] = [
  cidr('192.168.0.0/16'),
  ...Array.from({ length: 16 }, (_, i) => cidr(`172.${16 + i}.0.0/16`)),
];
const [BLOCK_SIZE_MIN, BLOCK_SIZE_DEFAULT, BLOCK_SIZE_MAX] = [20, 26, 32];

/** Undefined: no pool is wanted. Errors name the variable, its value and the fix. */
export function defaultPool(
  env: Environment,
  hostAddresses: readonly Ip[],
): Result<IpPoolSpec | undefined> {
  const text = (env['CALICO_IPV4POOL_CIDR'] ?? '').trim();
  const unwanted = truth(env, 'NO_DEFAULT_POOLS', false);
  if (!unwanted.ok) return unwanted;
  if (unwanted.value)
    return text === ''
      ? ok(undefined)
      : fail('NO_DEFAULT_POOLS is true and CALICO_IPV4POOL_CIDR is set: keep one of them');
  if (text === 'none') return ok(undefined);
  const range = text === '' ? freeRange(hostAddresses) : parseCidr(text);
  if (!range || cidrFamily(range) !== 4)
    return fail(
      `CALICO_IPV4POOL_CIDR: '${text}' must be an IPv4 CIDR such as ${RANGES[0]}, or none`,
    );
  return poolOf(env, range);
}

// A pool around the node's own address would cut the node off.
const freeRange = (addresses: readonly Ip[]): Cidr | undefined =>
  RANGES.find((range) => !addresses.some((address) => contains(range, address)));

function poolOf(env: Environment, range: Cidr): Result<IpPoolSpec> {
  const settings = all({
    ipip: mode(env, 'CALICO_IPV4POOL_IPIP'),
    vxlan: mode(env, 'CALICO_IPV4POOL_VXLAN'),
    nat: truth(env, 'CALICO_IPV4POOL_NAT_OUTGOING', true),
    disabled: truth(env, 'CALICO_IPV4POOL_DISABLED', false),
    noExport: truth(env, 'CALICO_IPV4POOL_DISABLE_BGP_EXPORT', false),
    blockSize: blockSizeOf(env),
  });
  if (!settings.ok) return settings;
  const { ipip, vxlan, nat, disabled, noExport, blockSize } = settings.value;
  return ok({
    cidr: range,
    vxlanMode: vxlan,
    ipipMode: ipip,
    natOutgoing: nat,
    ...(disabled && { disabled }),
    ...(noExport && { disableBGPExport: true }),
    blockSize,
    nodeSelector: env['CALICO_IPV4POOL_NODE_SELECTOR'] || 'all()',
    allowedUses: ['Workload', 'Tunnel'],
    assignmentMode: 'Automatic',
  });
}

/** The values of all results, or the first error. */
function all<T extends object>(results: { [K in keyof T]: Result<T[K]> }): Result<T> {
  const values: Partial<T> = {};
  for (const key of Object.keys(results) as (keyof T)[]) {
    const result = results[key];
    if (!result.ok) return result;
    values[key] = result.value;
  }
  return ok(values as T);
}

// The second spelling is that of older charts.
function blockSizeOf(env: Environment): Result<number> {
  const text = env['CALICO_IPV4POOL_BLOCK_SIZE'] || env['CALICO_IPV4POOL_BLOCKSIZE'];
  const size = Number(text || BLOCK_SIZE_DEFAULT);
  return Number.isInteger(size) && size >= BLOCK_SIZE_MIN && size <= BLOCK_SIZE_MAX
    ? ok(size)
    : fail(`CALICO_IPV4POOL_BLOCK_SIZE: '${text}' must be ${BLOCK_SIZE_MIN} to ${BLOCK_SIZE_MAX}`);
}

function mode(env: Environment, name: string): Result<EncapsulationMode> {
  const text = env[name] ?? '';
  switch (text.toLowerCase()) {
    case '':
    case 'off':
    case 'never':
      return ok('Never');
    case 'always':
      return ok('Always');
    case 'crosssubnet':
    case 'cross-subnet':
      return ok('CrossSubnet');
    default:
      return fail(`${name}: '${text}' must be Always, CrossSubnet or Never`);
  }
}

function truth(env: Environment, name: string, otherwise: boolean): Result<boolean> {
  const text = (env[name] || String(otherwise)).toLowerCase();
  return text === 'true' || text === 'false'
    ? ok(text === 'true')
    : fail(`${name}: '${env[name]}' must be true or false`);
}
