// The WorkloadEndpoints that go with addresses that are freed: those of the same pod on the same node.
import type { KeyValue } from '../../datastore/store.ts';
import type { AlongsideWrites } from '../../ipam/request.ts';
import { parseKey } from '../../model/keys.ts';
import { parseResource } from '../../model/resource.ts';
import type { WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import type { Allocation } from './facts.ts';

export const endpointsOf = (
  items: readonly KeyValue[],
  freed: readonly Allocation[],
): readonly KeyValue[] =>
  items.filter(({ key: path, value }) => {
    const key = parseKey(path);
    if (key?.kind !== 'namespaced' || key.plural !== 'workloadendpoints') return false;
    const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
      'WorkloadEndpoint',
      value,
    );
    if (!parsed.ok) return false;
    const { pod, node, ipNetworks = [] } = parsed.value.spec;
    return freed.some(
      ({ ip, attributes }) =>
        attributes['namespace'] === key.namespace &&
        attributes['pod'] === pod &&
        (attributes['node'] ?? node) === node &&
        ipNetworks.some((network) => network.split('/')[0] === ip),
    );
  });

export const deletionOf = (endpoints: readonly KeyValue[]): AlongsideWrites => ({
  compares: endpoints.map(({ key, revision }) => ({ key, revision })),
  writes: endpoints.map(({ key }) => ({ kind: 'delete', key })),
});
