// The settings controller: the chart's values as resources, and again whenever somebody changes them.
import type { Json } from '../../base/json.ts';
import { checkIpPoolSpec, type IpPoolSpec } from '../../model/ip-pool.ts';
import { resourcePrefix } from '../../model/keys.ts';
import { parseResource, type Resource } from '../../model/resource.ts';
import type { Controller } from '../controller.ts';
import type { DatastoreMirror } from '../datastore-mirror.io.ts';
import { KeyQueue } from '../key-queue.io.ts';
import { type ControllerParts, store } from '../reconcile.io.ts';
import type { Present } from './own-fields.ts';
import { type ClusterSettings, SETTINGS_KEYS, wantedSettings } from './settings.ts';

const KEYS: readonly string[] = Object.values(SETTINGS_KEYS);
const POOLS = resourcePrefix('ippools');
const KINDS = {
  [SETTINGS_KEYS.bgp]: 'BGPConfiguration',
  [SETTINGS_KEYS.felix]: 'FelixConfiguration',
  [SETTINGS_KEYS.pool]: 'IPPool',
};

/** Only writes, never deletes: a pool that is not wanted any more still holds addresses. */
export function settingsController(parts: ControllerParts, settings: ClusterSettings): Controller {
  const { mirror, log } = parts;
  const said = new Set<string>();
  const stored = (key: string): Present | undefined => {
    const item = mirror.get(key);
    const parsed = item && parseResource<string, Json & object>(KINDS[key] ?? '', item.value);
    if (!parsed?.ok) return undefined;
    const { spec, metadata } = parsed.value as Resource<string, object>;
    return { spec, annotations: metadata.annotations ?? {} };
  };
  // Derived from what is stored when it is written, so that a lost race keeps the winner's fields.
  const settle = async (key: string): Promise<void> => {
    const { wanted, ignored } = wantedSettings(settings, stored, hasOtherPool(mirror));
    for (const { message } of ignored) {
      if (!said.has(message)) log.warn(message);
      said.add(message);
    }
    const resource = wanted.find((one) => one.key === key);
    if (resource) await store(parts, resource);
  };
  const queue = new KeyQueue({ ...parts, work: settle });
  mirror.onSnapshot(() => {
    for (const key of KEYS) queue.add(key);
  });
  mirror.onChange((key) => {
    if (KEYS.includes(key)) queue.add(key);
    else if (key.startsWith(POOLS)) queue.add(SETTINGS_KEYS.pool);
  });
  return {
    problem: undefined,
    get failing() {
      return queue.failing;
    },
  };
}

/** Whether there is an IPv4 pool besides the default one. */
const hasOtherPool = (mirror: DatastoreMirror): boolean =>
  mirror.keys().some((key) => {
    if (!key.startsWith(POOLS) || key === SETTINGS_KEYS.pool) return false;
    const text = mirror.get(key)?.value ?? '';
    const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', text, checkIpPoolSpec);
    return pool.ok && !pool.value.spec.cidr.includes(':');
  });
