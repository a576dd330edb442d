// `calico-kit settings check`: whether the datastore lets new settings be applied. The chart asks it
// before an upgrade; what is refused here would be left as it is by the controllers, in silence.

import { parseJson } from '../../base/json.ts';
import { messageOf } from '../../base/op-error.ts';
import { type PoolsOfSettings, refusedPools } from '../../model/settings/pool-changes.ts';
import { containsCidr, parseCidr } from '../../net/cidr.ts';
import { allocationsOf, type World } from '../ipam/world.ts';
import type { Output } from '../output.ts';

/** Errors: throws when the text is not what the chart writes. */
export function poolsOfSettings(text: string | undefined): PoolsOfSettings {
  if (!text) throw new Error('CALICO_SETTINGS_POOLS: empty; it has the pools of the new settings');
  return parseJson(text) as unknown as PoolsOfSettings;
}

/** Fails with what to do where a pool would have to become another. */
export function checkPools(settings: PoolsOfSettings, world: World): Output {
  const pools = world.pools.map(({ pool: { metadata, spec } }) => ({ ...spec, ...metadata }));
  const refused = refusedPools(settings, pools);
  const lines = refused.flatMap(({ name, words, remedy }) => {
    const used = usedIn(world, pools.find((pool) => pool.name === name)?.cidr);
    return [`${words}, and ${used} of its addresses are in use`, `    ${remedy}`];
  });
  if (refused.length === 0) return { lines: ['the pools fit'], data: { refused } };
  const end = 'Nothing has been changed: pods keep their addresses, and the release its values.';
  return { lines: [...lines, end], data: { refused }, failed: true };
}

function usedIn(world: World, prefix: string | undefined): number {
  const cidr = prefix === undefined ? undefined : parseCidr(prefix);
  return allocationsOf(world).filter(({ block }) => cidr && containsCidr(cidr, block)).length;
}

/** A datastore that cannot be asked holds no upgrade up: it may be what the upgrade mends. */
export const notAsked = (cause: unknown): Output => ({
  lines: [
    `the datastore was not asked: ${messageOf(cause)}`,
    'A pool that exists keeps its prefix, whatever the new settings say.',
  ],
  data: { refused: [] },
});

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The release that runs may speak another way with its datastore than the new settings: what it
 * shows are certificates that are there, and to https alone.
 */
export function presentEnvironment(env: Environment, isThere: (file: string) => boolean) {
  const names = ['ETCD_CA_CERT_FILE', 'ETCD_CERT_FILE', 'ETCD_KEY_FILE'];
  const secured = env['ETCD_ENDPOINTS']?.startsWith('https:');
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => !names.includes(name) || (secured && isThere(value ?? '')),
    ),
  );
}
