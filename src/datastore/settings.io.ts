// The datastore that a program's settings name.
import { readFileSync } from 'node:fs';
import type { Log } from '../base/log.io.ts';
import type { Tls } from './connection.io.ts';
import { openEtcdStore } from './etcd.io.ts';
import { type EtcdMembers, openEtcdMembers } from './members.io.ts';
import type { EtcdSettings, Pem } from './settings.ts';
import type { Store } from './store.ts';

/**
 * Throws when a file cannot be read. They are read again for each connection: a new certificate is
 * used without a restart.
 */
export function openStore(settings: EtcdSettings, log?: Log): Store {
  const tls = readTls(settings);
  return openEtcdStore({ endpoints: settings.endpoints, tls, ...(log && { log }) });
}

/** The members of the datastore itself; those of `endpoints` alone, where given. Throws as openStore does. */
export const openMembers = (
  settings: EtcdSettings,
  endpoints: readonly string[] = settings.endpoints,
): EtcdMembers => openEtcdMembers(endpoints, readTls(settings));

function readTls(settings: EtcdSettings): () => Tls {
  const tls = (): Tls => tlsOf(settings);
  tls();
  return tls;
}

const tlsOf = ({ authorities, certificate, key }: EtcdSettings): Tls => ({
  ...(authorities && { authorities: bytesOf(authorities) }),
  ...(certificate && { certificate: bytesOf(certificate) }),
  ...(key && { key: bytesOf(key) }),
});

const bytesOf = (pem: Pem): Buffer =>
  'text' in pem ? Buffer.from(pem.text) : readFileSync(pem.file);
