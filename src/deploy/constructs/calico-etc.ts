// ConfigMap calico-etc: where the datastore is, the CNI configuration, and the pool settings
// that the agents read at start. A change of the pool restarts no node pod; running agents learn
// it from the datastore.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { choose, isEmpty, jsonOf, str } from '../helm/functions.ts';
import { ETCD_CONFIG, metadataOf } from './manifest.ts';
import {
  effectiveMtu,
  etcdEndpoints,
  type Settings,
  switchOrNothing,
  switchText,
} from './settings.ts';

// The installer replaces the words in double underscores on each node.
const CNI_NETWORK_CONFIG = `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.0",
  "plugins": [
    {
      "type": "calico",
      "etcd_endpoints": "__ETCD_ENDPOINTS__",
      "log_level": "info",
      "mtu": __CNI_MTU__,
      "ipam": { "type": "calico-ipam" },
      "policy": { "type": "k8s" },
      "kubernetes": { "kubeconfig": "__KUBECONFIG_FILEPATH__" }
    },
    {
      "type": "portmap",
      "snat": true,
      "capabilities": { "portMappings": true }
    },
    {
      "type": "bandwidth",
      "capabilities": { "bandwidth": true }
    }
  ]
}
`;

/** The network configuration for the runtime: the user's, else ours. */
export const networkConfig = ({ conf }: Settings): Of<string> =>
  choose(isEmpty(conf.cni_network_config), CNI_NETWORK_CONFIG, jsonOf(conf.cni_network_config));

export class CalicoEtc extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    const { podSubnet, settings: network } = settings.networking;
    new ApiObject(this, 'config', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadataOf(ETCD_CONFIG, 'calico-node'),
      data: {
        etcd_endpoints: etcdEndpoints(settings),
        cni_network_config: `${networkConfig(settings)}`,
        mtu: str(settings.networking.mtu),
        cni_mtu: str(effectiveMtu(settings)),
        ipv4pool_cidr: podSubnet,
        ipv4pool_ipip: network.ippool.ipip.mode,
        ipv4pool_vxlan: network.ippool.vxlan.mode,
        ipv4pool_nat_outgoing: switchText(network.ippool.nat_outgoing),
        ipv4pool_disabled: switchText(network.ippool.disabled),
        ipv4pool_block_size: str(network.ippool.block_size),
        ipv4pool_node_selector: network.ippool.node_selector,
        ipv4pool_disable_bgp_export: switchOrNothing(network.ippool.disable_bgp_export),
      },
    });
  }
}
