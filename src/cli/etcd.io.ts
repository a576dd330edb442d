// The datastore that the settings name.
import { existsSync, readFileSync } from 'node:fs';
import type { Result } from '../base/result.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import {
  CONFIG_PATH,
  type EtcdSettings,
  type Pem,
  settingsOfConfig,
  settingsOfEnvironment,
} from './environment.ts';

/**
 * By the file `config`; without one by the environment, and where that names no datastore by
 * /etc/calico/calicoctl.cfg. Throws with what is wrong.
 */
export function openStore(config: string | undefined): Store {
  const { endpoints, authorities, certificate, key } = settingsFrom(config);
  return openEtcdStore({
    endpoints,
    tls: {
      ...(authorities && { authorities: bytesOf(authorities) }),
      ...(certificate && { certificate: bytesOf(certificate) }),
      ...(key && { key: bytesOf(key) }),
    },
  });
}

function settingsFrom(config: string | undefined): EtcdSettings {
  const usual = !process.env['ETCD_ENDPOINTS'] && existsSync(CONFIG_PATH);
  const path = config ?? (usual ? CONFIG_PATH : undefined);
  const settings: Result<EtcdSettings> =
    path === undefined
      ? settingsOfEnvironment(process.env)
      : settingsOfConfig(readFileSync(path, 'utf8'));
  if (settings.ok) return settings.value;
  throw new Error(path === undefined ? settings.error : `${path}: ${settings.error}`);
}

const bytesOf = (pem: Pem): Buffer =>
  'text' in pem ? Buffer.from(pem.text) : readFileSync(pem.file);
