// A random world as the datastore holds it.
import type { KeyValue } from '../../src/datastore/store.ts';
import type { RandomWorld, WorldRule, WorldSide } from './world.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';

/** The world as it is stored. */
export function storedWorld(world: RandomWorld): readonly KeyValue[] {
  const items: KeyValue[] = [];
  const put = (path: string, kind: string, spec: object, metadata: object = {}): void => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const resource = { kind, apiVersion: 'projectcalico.org/v3', metadata: { name, ...metadata } };
    items.push({ key: ROOT + path, value: JSON.stringify({ ...resource, spec }), revision: 1n });
  };
  for (const { name, labels, ingress, egress } of world.namespaces)
    put(`profiles/kns.${name}`, 'Profile', {
      ingress: ingress.map(storedRule),
      egress: egress.map(storedRule),
      labelsToApply: Object.fromEntries(Object.entries(labels).map(([k, v]) => [`pcns.${k}`, v])),
    });
  put('felixconfigurations/default', 'FelixConfiguration', world.felix);
  for (const { name, ...spec } of world.tiers) put(`tiers/${name}`, 'Tier', spec);
  for (const [i, { labels, nets }] of world.sets.entries())
    put(`globalnetworksets/s${i}`, 'GlobalNetworkSet', { nets }, { labels });
  for (const [i, { namespace, ...spec }] of world.slices.entries()) {
    const path = `kubernetesendpointslices/${namespace}/slice${i}`;
    put(path, 'KubernetesEndpointSlice', spec, { namespace });
  }
  for (const pod of world.pods) {
    const spec = {
      node: 'node1',
      interfaceName: `cali${pod.name}`,
      ipNetworks: pod.addresses.map((one) => `${one}/${one.includes(':') ? 128 : 32}`),
      profiles: [`kns.${pod.namespace}`, `ksa.${pod.namespace}.${pod.account}`],
      ports: [{ name: 'web', protocol: 'TCP', port: pod.webPort }],
    };
    put(`profiles/ksa.${pod.namespace}.${pod.account}`, 'Profile', {
      labelsToApply: { 'pcsa.role': pod.role },
    });
    const labels = {
      ...pod.labels,
      'projectcalico.org/namespace': pod.namespace,
      'projectcalico.org/serviceaccount': pod.account,
    };
    const path = `workloadendpoints/${pod.namespace}/node1-k8s-${pod.name}-eth0`;
    put(path, 'WorkloadEndpoint', spec, { namespace: pod.namespace, labels });
  }
  for (const { name, namespace, selector, ingress, egress, ...more } of world.policies) {
    const spec = {
      ...more,
      selector: selector.text,
      ingress: ingress.map(storedRule),
      egress: egress.map(storedRule),
    };
    if (namespace)
      put(`networkpolicies/${namespace}/${name}`, 'NetworkPolicy', spec, { namespace });
    else put(`globalnetworkpolicies/${name}`, 'GlobalNetworkPolicy', spec);
  }
  return items;
}

const storedRule = ({ source, destination, ...more }: WorldRule): object => ({
  ...more,
  source: storedSide(source),
  destination: storedSide(destination),
});

const storedSide = (side: WorldSide): object => {
  const { selector, notSelector, namespaceSelector, serviceAccounts, ...more } = side;
  const { names, role } = serviceAccounts ?? {};
  const account = {
    ...(names ? { names } : {}),
    ...(role ? { selector: `role == '${role}'` } : {}),
  };
  return {
    ...more,
    ...(serviceAccounts ? { serviceAccounts: account } : {}),
    ...(selector ? { selector: selector.text } : {}),
    ...(notSelector ? { notSelector: notSelector.text } : {}),
    ...(namespaceSelector ? { namespaceSelector: namespaceSelector.text } : {}),
  };
};
