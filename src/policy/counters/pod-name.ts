// How people call an endpoint.
import { parseKey } from '../../model/keys.ts';
import { parseWorkloadEndpointName } from '../../model/workload-endpoint.ts';

/** `namespace/pod` of an endpoint's key; of any other key the key itself. */
export function podName(path: string): string {
  const key = parseKey(path);
  const id = key?.kind === 'namespaced' ? parseWorkloadEndpointName(key.name) : undefined;
  return key?.kind === 'namespaced' && id ? `${key.namespace}/${id.workload}` : path;
}
