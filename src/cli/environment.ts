// How the program reaches the datastore, from its environment.
import { fail, ok, type Result } from '../base/result.ts';

/** Errors: what is missing, with an example. */
export function etcdEndpoints(
  env: Readonly<Record<string, string | undefined>>,
): Result<readonly string[]> {
  const endpoints = (env['ETCD_ENDPOINTS'] ?? '')
    .split(',')
    .map((endpoint) => endpoint.trim())
    .filter(Boolean);
  return endpoints.length > 0
    ? ok(endpoints)
    : fail('ETCD_ENDPOINTS is not set; give e.g. ETCD_ENDPOINTS=http://10.96.232.136:6666');
}
