// Kubernetes' EndpointSlice as it is stored for policies whose rules name its service.
import type { EndpointSlice } from '../../kubernetes/api.ts';
import { namespacedKey } from '../../model/keys.ts';
import { API_VERSION } from '../../model/resource.ts';
import { SERVICE_ENDPOINTS, type ServiceEndpoints } from '../../model/service-endpoints.ts';

const SERVICE_LABEL = 'kubernetes.io/service-name';

/**
 * Undefined: it belongs to no service, or holds no addresses. Endpoints that are not ready count
 * too, as in Felix: whether to send to them is not for policy to say.
 */
export function storedSlice({
  metadata,
  addressType,
  endpoints = [],
  ports = [],
}: EndpointSlice): ServiceEndpoints | undefined {
  const service = metadata.labels?.[SERVICE_LABEL];
  if (!service || addressType === 'FQDN') return undefined;
  const { name, namespace = 'default' } = metadata;
  return {
    kind: SERVICE_ENDPOINTS,
    apiVersion: API_VERSION,
    metadata: { name, namespace },
    spec: {
      service,
      addresses: [...new Set(endpoints.flatMap(({ addresses = [] }) => addresses))].sort(),
      ports: ports.flatMap(({ protocol = 'TCP', port }) =>
        port === undefined || port === null ? [] : [{ protocol, port }],
      ),
    },
  };
}

export const sliceKey = ({ metadata }: EndpointSlice): string =>
  namespacedKey('kubernetesendpointslices', metadata.namespace ?? 'default', metadata.name);
