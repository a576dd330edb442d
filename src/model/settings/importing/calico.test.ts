import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { Json } from '../../../base/json.ts';
import { settingsFrom } from '../settings.ts';
import { importCalico } from './calico.ts';

const read = (text: string): readonly Json[] =>
  parseAllDocuments(text).map((document) => document.toJS() as Json);

const RESOURCES = `
kind: IPPoolList
items:
- apiVersion: projectcalico.org/v3
  kind: IPPool
  metadata: {name: default-ipv4-ippool, uid: x}
  spec: {cidr: 10.244.0.0/16, ipipMode: CrossSubnet, vxlanMode: Never, natOutgoing: true, blockSize: 27, nodeSelector: has(rack), disableBGPExport: true, allowedUses: [Workload, Tunnel]}
- apiVersion: projectcalico.org/v3
  kind: IPPool
  metadata: {name: six}
  spec: {cidr: 'fd00:10::/64', blockSize: 122, vxlanMode: Always, awsSubnetID: subnet-1}
---
kind: BGPConfiguration
metadata: {name: default}
spec:
  asNumber: 4200000000
  nodeToNodeMeshEnabled: false
  listenPort: 1790
  serviceClusterIPs: [{cidr: 10.96.0.0/12}]
  communities: [{name: blue, value: '64512:100'}, {name: large, value: '1:2:3'}]
  prefixAdvertisements: [{cidr: 10.244.0.0/18, communities: [blue]}]
---
kind: FelixConfiguration
metadata: {name: default}
spec: {logSeverityScreen: Warning, bpfEnabled: false, wireguardEnabled: true, ipipEnabled: true, routeRefreshInterval: 90s, iptablesRefreshInterval: 60s, healthTimeoutOverrides: [{name: a}], vxlanVNI: 5000, failsafeInboundHostPorts: []}
---
kind: BGPPeer
metadata: {name: tor, annotations: {projectcalico.org/metadata: '{}', calico-kit.io/bfd: 'on'}}
spec: {peerIP: 10.0.0.1, asNumber: 65001, nodeSelector: all(), localWorkloadSelector: all()}
---
kind: BGPPeer
metadata: {name: tor6}
spec: {peerIP: 'fd00::1', asNumber: 65001}
---
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec: {tier: security, selector: all(), types: [Ingress]}
---
kind: NetworkPolicy
metadata: {name: knp.default.web, namespace: shop}
spec: {}
---
kind: Tier
metadata: {name: security}
spec: {order: 10}
---
kind: Tier
metadata: {name: default}
spec: {}
---
kind: HostEndpoint
metadata: {name: eth0, labels: {a: b}}
spec: {node: n1, interfaceName: eth0}
---
kind: EgressGatewayPolicy
metadata: {name: x}
spec: {}
`;

test('Calico’s resources become settings, and what has no equivalent is told of', () => {
  const { values, lines, faults } = importCalico(read(RESOURCES));
  assert.deepEqual(faults, []);
  const apiVersion = 'projectcalico.org/v3';
  assert.deepEqual(values, {
    networking: {
      podSubnet: '10.244.0.0/16',
      settings: {
        ippool: {
          ipip: { mode: 'CrossSubnet' },
          vxlan: { mode: 'Never' },
          nat_outgoing: true,
          disabled: false,
          block_size: 27,
          node_selector: 'has(rack)',
          disable_bgp_export: true,
        },
        mesh: 'off',
      },
      pools: [{ name: 'six', cidr: 'fd00:10::/64', blockSize: 122, vxlanMode: 'Always' }],
      bgp: {
        asnumber: 4200000000,
        ipv4: {
          port: { listen: 1790 },
          peers: [
            {
              apiVersion,
              kind: 'BGPPeer',
              metadata: { name: 'tor', annotations: { 'calico-kit.io/bfd': 'on' } },
              spec: { peerIP: '10.0.0.1', asNumber: 65001, nodeSelector: 'all()' },
            },
          ],
        },
        ipv6: {
          peers: [
            {
              apiVersion,
              kind: 'BGPPeer',
              metadata: { name: 'tor6' },
              spec: { peerIP: 'fd00::1', asNumber: 65001 },
            },
          ],
        },
      },
      policy: {
        policies: {
          priority: 1,
          rules: [
            {
              apiVersion,
              kind: 'GlobalNetworkPolicy',
              metadata: { name: 'deny' },
              spec: { tier: 'security', selector: 'all()', types: ['Ingress'] },
            },
          ],
        },
        base: {
          priority: 0,
          rules: [
            { apiVersion, kind: 'Tier', metadata: { name: 'security' }, spec: { order: 10 } },
          ],
        },
        hosts: {
          priority: 2,
          rules: [
            {
              apiVersion,
              kind: 'HostEndpoint',
              metadata: { name: 'eth0', labels: { a: 'b' } },
              spec: { node: 'n1', interfaceName: 'eth0' },
            },
          ],
        },
      },
    },
    bgpConfiguration: {
      serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
      communities: [
        { name: 'blue', value: '64512:100' },
        { name: 'large', value: '1:2:3' },
      ],
      prefixAdvertisements: [{ cidr: '10.244.0.0/18', communities: ['blue'] }],
    },
    felixConfiguration: { vxlanVNI: 5000, failsafeInboundHostPorts: [] },
    conf: {
      node: {
        LOG_LEVEL: 'warn',
        FELIX_ROUTEREFRESHINTERVAL: '90s',
        FELIX_IPTABLESREFRESHINTERVAL: '60s',
      },
    },
  });
  const left = lines.filter(({ outcome }) => outcome === 'left out').map(({ key }) => key);
  assert.deepEqual(left, [
    'IPPool six spec.awsSubnetID',
    'FelixConfiguration default spec.bpfEnabled',
    'FelixConfiguration default spec.wireguardEnabled',
    'FelixConfiguration default spec.ipipEnabled',
    'FelixConfiguration default spec.healthTimeoutOverrides',
    'BGPPeer tor spec.localWorkloadSelector',
    'NetworkPolicy knp.default.web',
    'Tier default',
    'EgressGatewayPolicy x',
  ]);
});

const MANIFESTS = `
kind: ConfigMap
metadata: {name: calico-config, namespace: kube-system}
data: {etcd_endpoints: 'https://10.0.0.5:2379', etcd_ca: /calico-secrets/etcd-ca, calico_backend: bird, veth_mtu: '0'}
---
kind: DaemonSet
metadata: {name: calico-node}
spec:
  template:
    spec:
      containers:
      - name: calico-node
        env:
        - {name: CLUSTER_TYPE, value: 'k8s,bgp'}
        - {name: IP, value: autodetect}
        - {name: CALICO_IPV4POOL_IPIP, value: Always}
        - {name: CALICO_IPV4POOL_VXLAN, value: Never}
        - {name: CALICO_IPV4POOL_CIDR, value: 10.42.0.0/16}
        - {name: FELIX_IPINIPMTU, valueFrom: {configMapKeyRef: {name: calico-config, key: veth_mtu}}}
        - {name: FELIX_DEFAULTENDPOINTTOHOSTACTION, value: ACCEPT}
        - {name: FELIX_HEALTHENABLED, value: 'true'}
        resources: {requests: {cpu: 250m}}
---
kind: ServiceAccount
metadata: {name: calico-node}
`;

test('Calico’s manifests become settings', () => {
  const { values, faults } = importCalico(read(MANIFESTS));
  assert.deepEqual(faults, []);
  assert.deepEqual(values, {
    etcd: { enabled: false, endpoints: 'https://10.0.0.5:2379' },
    pod: { calico_node: { resources: { requests: { cpu: '250m' } } } },
    conf: {
      node: {
        CLUSTER_TYPE: 'k8s,bgp',
        IP: 'autodetect',
        FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
      },
    },
    networking: {
      settings: { ippool: { ipip: { mode: 'Always' }, vxlan: { mode: 'Never' } } },
      podSubnet: '10.42.0.0/16',
    },
  });
});

test('what runs wins over what it was started with, in whatever order it is read', () => {
  for (const documents of [
    [RESOURCES, MANIFESTS],
    [MANIFESTS, RESOURCES],
  ]) {
    const { values } = importCalico(documents.flatMap(read));
    const settings = settingsFrom(values);
    assert.ok(settings.ok);
    assert.equal(settings.value.networking.podSubnet, '10.244.0.0/16');
  }
});

test('the operator’s Installation becomes settings', () => {
  const { values, lines, faults } = importCalico(
    read(`
kind: Installation
metadata: {name: default}
spec:
  registry: quay.io
  calicoNetwork:
    mtu: 9000
    bgp: Disabled
    nodeAddressAutodetectionV4: {interface: eth.*}
    nodeAddressAutodetectionV6: {canReach: '2001:db8::53'}
    ipPools:
    - {cidr: 10.1.0.0/16, encapsulation: VXLANCrossSubnet, natOutgoing: Enabled}
    - {cidr: 10.2.0.0/16, encapsulation: None, natOutgoing: Disabled, nodeSelector: all()}
`),
  );
  assert.deepEqual(faults, []);
  assert.deepEqual(values, {
    networking: {
      mtu: 9000,
      podSubnet: '10.1.0.0/16',
      settings: {
        mesh: 'off',
        ippool: { ipip: { mode: 'Never' }, vxlan: { mode: 'CrossSubnet' }, nat_outgoing: true },
      },
      pools: [
        {
          name: 'pool-10-2-0-0-16',
          cidr: '10.2.0.0/16',
          natOutgoing: false,
          nodeSelector: 'all()',
        },
      ],
    },
    conf: {
      node: {
        IP_AUTODETECTION_METHOD: 'interface=eth.*',
        IP6: 'autodetect',
        IP6_AUTODETECTION_METHOD: 'can-reach=2001:db8::53',
      },
    },
  });
  assert.deepEqual(
    lines.filter(({ outcome }) => outcome !== 'taken').map(({ key }) => key),
    ['Installation default spec.registry'],
  );
});

test('what is no object is passed over', () => {
  const { values, lines } = importCalico([null, 'text', 5]);
  assert.deepEqual([values, lines], [{}, []]);
});
