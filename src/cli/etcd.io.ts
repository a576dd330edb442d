// The datastore that the settings name.
import { existsSync, readFileSync } from 'node:fs';
import type { Result } from '../base/result.ts';
import type { EtcdMembers } from '../datastore/members.io.ts';
import {
  openMembers as openMembersOf,
  openStore as openStoreOf,
} from '../datastore/settings.io.ts';
import { type EtcdSettings, etcdSettings } from '../datastore/settings.ts';
import type { Store } from '../datastore/store.ts';
import { CONFIG_PATH, settingsOfConfig } from './environment.ts';

/**
 * By the file `config`; without one by the environment, and where that names no datastore by
 * /etc/calico/calicoctl.cfg. Throws with what is wrong.
 */
export const openStore = (config: string | undefined): Store => openStoreOf(settingsFrom(config));

/** The same datastore's members, or those of `endpoints` alone. */
export const openMembers = (
  config: string | undefined,
  endpoints: readonly string[] | undefined,
): EtcdMembers => openMembersOf(settingsFrom(config), endpoints);

function settingsFrom(config: string | undefined): EtcdSettings {
  const usual = !process.env['ETCD_ENDPOINTS'] && existsSync(CONFIG_PATH);
  const path = config ?? (usual ? CONFIG_PATH : undefined);
  const settings: Result<EtcdSettings> =
    path === undefined ? etcdSettings(process.env) : settingsOfConfig(readFileSync(path, 'utf8'));
  if (settings.ok) return settings.value;
  throw new Error(path === undefined ? settings.error : `${path}: ${settings.error}`);
}
