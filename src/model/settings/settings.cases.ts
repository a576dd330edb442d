// Settings that are refused, with the words of the refusal. The same table is put to the check
// and to Helm.
import type { Json } from '../../base/json.ts';
import { APART } from './list-rules.ts';

export interface BadSettings {
  readonly values: Json;
  /** The lines of our own check. */
  readonly faults: readonly string[];
  /** What Helm says, where its schema check speaks first in words of its own. */
  readonly helm?: RegExp;
}

const CIDR = 'is not an IPv4 CIDR (prefix 8 to 32), for example 192.168.0.0/16';
const SWITCH = 'is not a switch (on, off, yes, no, true or false), for example on';
const METHOD =
  'is not a method (first-found, can-reach=DESTINATION or interface=REGEX), ' +
  'for example first-found';
const URLS =
  'is not a comma-separated list of http or https URLs with a port, for example http://10.0.2.6:2379';
const ASN = 'is not an AS number (1 to 4294967295), for example 64512';
const IP = 'is not an IPv4 address, for example 10.96.232.136';

const POOL = 'is not a CIDR (IPv4 with prefix 8 to 32, or IPv6), for example 10.20.0.0/16';
const PEER = 'is not an address, with a port where it is not 179, for example 10.0.0.1';

const peer = (name: string, peerIP: string) => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPPeer',
  metadata: { name },
  spec: { peerIP, asNumber: 65000 },
});

const podSubnet = (text: string): BadSettings => ({
  values: { networking: { podSubnet: text } },
  faults: [`networking.podSubnet: ${JSON.stringify(text)} ${CIDR}`],
});

export const badSettings: readonly BadSettings[] = [
  {
    values: { pod: { calico_node: { max_unavailable: 'some' } } },
    faults: [
      'pod.calico_node.max_unavailable: "some" is not a number of nodes, or a percentage, for example 10%',
    ],
  },
  {
    values: { pod: { calico_node: { max_unavailable: 0 } } },
    faults: [
      'pod.calico_node.max_unavailable: 0 is not a number of nodes, or a percentage, for example 10%',
    ],
  },
  {
    values: { pod: { etcd: { extra_env: [{ name: 'GOMAXPROCS', value: 2 }] } } },
    faults: ['pod.etcd.extra_env.0.value: 2 is not of type string'],
    helm: /'\/pod\/etcd\/extra_env\/0\/value': got number, want string/,
  },
  {
    values: { pod: { etcd: { tolerations: [{ operater: 'Exists' }] } } },
    faults: [
      'pod.etcd.tolerations.0: "operater" is not a setting; known here: key, operator, value, effect, tolerationSeconds',
    ],
    helm: /'\/pod\/etcd\/tolerations\/0\/operater': value must be 'left out: .*known here: key, operator/,
  },
  {
    values: { networking: { pools: [{ name: 'Edge_1', cidr: '10.9.0.0/16' }] } },
    faults: [
      'networking.pools.0.name: "Edge_1" is not a name (lower-case letters, digits, - and .), for example edge',
    ],
  },
  {
    values: { networking: { mtu: 'jumbo' } },
    faults: ['networking.mtu: "jumbo" is not of type integer, for example 1500'],
    helm: /'\/networking\/mtu': got string, want integer/,
  },
  {
    values: { etcd: { members: 2 } },
    faults: ['etcd.members: 2 is none of 1, 3, 5'],
    helm: /'\/etcd\/members': value must be one of 1, 3, 5/,
  },
  {
    values: { etcd: { restore: '../x', snapshots: { schedule: 'daily' } } },
    faults: [
      'etcd.snapshots.schedule: "daily" is not a schedule of cron (minute, hour, day, month, ' +
        'weekday), for example 30 2 * * *',
      'etcd.restore: "../x" is not the file name of a snapshot, for example ' +
        'calico-etcd-20270131T023000Z.db',
    ],
  },
  {
    values: { etcd: { tls: { mode: 'generate', secret: 'pki' } } },
    faults: [
      'etcd.tls.mode: "generate" makes certificates, but etcd.tls.secret names some; leave one of ' +
        'both out',
    ],
  },
  {
    values: {
      etcd: { enabled: false, endpoints: 'https://10.0.2.6:2379', tls: { mode: 'generate' } },
    },
    faults: [
      'etcd.tls.mode: "generate" makes certificates for calico-etcd alone, but etcd.endpoints ' +
        'names an etcd of yours; put its certificates into a Secret and name it in etcd.tls.secret',
    ],
  },
  {
    values: { conf: { controllers: { ENABLED_CONTROLLERS: 'policy,nodes' } } },
    faults: [
      'conf.controllers.ENABLED_CONTROLLERS: "policy,nodes" is not a comma-separated list of ' +
        'controllers (policy, namespace, serviceaccount, workloadendpoint, node), for example ' +
        'policy,namespace,node',
    ],
  },
  {
    values: { networking: { settings: { ippool: { block_size: 33 } } } },
    faults: ['networking.settings.ippool.block_size: 33 is out of range (20 to 32)'],
  },
  {
    values: { felixConfiguration: { vxlanVni: 4096 } },
    faults: [
      'felixConfiguration: "vxlanVni" is not a setting; known here: logSeverityScreen, ' +
        'mtuIfacePattern, vxlanVNI, vxlanPort, featureDetectOverride, ' +
        'defaultEndpointToHostAction, failsafeInboundHostPorts, failsafeOutboundHostPorts, ' +
        'logPrefix, logActionRateLimit, logActionRateLimitBurst, iptablesFilterAllowAction, ' +
        'iptablesMangleAllowAction, iptablesFilterDenyAction, chainInsertMode, natPortRange, ' +
        'natOutgoingAddress, natOutgoingExclusions, iptablesNATOutgoingInterfaceFilter, ' +
        'interfacePrefix, allowVXLANPacketsFromWorkloads, allowIPIPPacketsFromWorkloads, ' +
        'disableConntrackInvalidCheck, externalNodesList, serviceLoopPrevention, ' +
        'iptablesMarkMask, maxIpsetSize, ipForwarding, workloadSourceSpoofing, floatingIPs',
    ],
    helm: /'\/felixConfiguration\/vxlanVni': value must be 'left out: .*known here: logSeverityScreen/,
  },
  podSubnet('10.0.0.0/33'),
  podSubnet('10.0.0.0/7'),
  podSubnet('10.0.0.0'),
  podSubnet('10.0.0.256/16'),
  podSubnet('10.0.00.0/16'),
  podSubnet('2001:db8::/64'),
  podSubnet('10.0.0.0/16\n'),
  podSubnet(''),
  podSubnet('<a href="x">&</a>'),
  podSubnet('{{ .Values.etcd }}'),
  {
    values: { networking: { settings: { mesh: 'maybe' } } },
    faults: [`networking.settings.mesh: "maybe" ${SWITCH}`],
  },
  {
    values: { networking: { settings: { mesh: 'yeſ' } } },
    faults: [`networking.settings.mesh: "yeſ" ${SWITCH}`],
  },
  {
    values: { networking: { settings: { ippool: { nat_outgoing: '1', disabled: 'never' } } } },
    faults: [
      `networking.settings.ippool.nat_outgoing: "1" ${SWITCH}`,
      `networking.settings.ippool.disabled: "never" ${SWITCH}`,
    ],
  },
  {
    values: { conf: { node: { IP_AUTODETECTION_METHOD: 'interface=' } } },
    faults: [`conf.node.IP_AUTODETECTION_METHOD: "interface=" ${METHOD}`],
  },
  {
    values: {
      conf: {
        node: {
          IP6_AUTODETECTION_METHOD: 'first-found',
          IPV6_AUTODETECTION_METHOD: 'interface=eth0',
        },
      },
    },
    faults: [
      'conf.node.IPV6_AUTODETECTION_METHOD: "interface=eth0" is an older spelling of ' +
        'IP6_AUTODETECTION_METHOD and differs from it; keep one',
    ],
  },
  {
    values: { images: { node: 'two words' } },
    faults: [
      'images.node: "two words" is not an image reference, ' +
        'for example docker.io/calico-kit/calico-node:0.1.0',
    ],
  },
  {
    values: { etcd: { clusterIP: '10.96.232' } },
    faults: [`etcd.clusterIP: "10.96.232" ${IP}`],
  },
  {
    values: { etcd: { clusterIP: 'None' } },
    faults: [`etcd.clusterIP: "None" ${IP}`],
  },
  {
    values: { etcd: { endpoints: 'https://10.0.2.6:2379,http://10.0.2.7:2379' } },
    faults: [`etcd.endpoints: "https://10.0.2.6:2379,http://10.0.2.7:2379" ${URLS}`],
  },
  {
    values: { etcd: { endpoints: 'http://10.0.2.6:2379', tls: { secret: 'certificates' } } },
    faults: [
      'etcd.endpoints: "http://10.0.2.6:2379" has no TLS, but etcd.tls.secret is given; ' +
        'write https, or leave the Secret out',
    ],
  },
  {
    values: { etcd: { tls: { secret: 'Not A Name' } } },
    faults: [
      'etcd.tls.secret: "Not A Name" is not the name of a Secret, for example calico-etcd-certificates',
    ],
  },
  {
    values: { etcd: { enabled: false } },
    faults: [
      'etcd.endpoints: is needed when etcd.enabled is false, for example http://10.0.2.6:2379',
    ],
  },
  {
    values: { networking: { podSubnet: 'x' }, etcd: { clusterIP: 'y', endpoints: 'z' } },
    faults: [
      `networking.podSubnet: "x" ${CIDR}`,
      `etcd.endpoints: "z" ${URLS}`,
      `etcd.clusterIP: "y" ${IP}`,
    ],
  },
  {
    values: { networking: { mtuu: 1500 } },
    faults: [
      'networking: "mtuu" is not a setting; known here: podSubnet, pools, mtu, settings, bgp, policy',
    ],
    helm: /'\/networking\/mtuu': value must be 'left out: there is no such setting; known here: podSub/,
  },
  {
    values: { conf: { node: { NODENAME: 'a' } } },
    faults: [
      'conf.node: "NODENAME" is not a setting; known here: CLUSTER_TYPE, CALICO_NETWORKING_BACKEND, LOG_LEVEL, IP, ' +
        'IP_AUTODETECTION_METHOD, IP6, IP6_AUTODETECTION_METHOD, IPV6_AUTODETECTION_METHOD, ' +
        'AUTODETECT_POLL_INTERVAL, BGP_DRAIN_SECONDS, DISABLE_NODE_IP_CHECK, ' +
        'FELIX_DEFAULTENDPOINTTOHOSTACTION, FELIX_DEFAULTDENYGUARD, FELIX_HEALTHENABLED, ' +
        'FELIX_HEALTHPORT, ' +
        'FELIX_IPV6SUPPORT, FELIX_LOGSEVERITYSCREEN, FELIX_PROMETHEUSMETRICSENABLED, ' +
        'FELIX_PROMETHEUSMETRICSPORT, ^FELIX_[A-Z0-9]+$',
    ],
    helm: /'\/conf\/node\/NODENAME': value must be 'left out: .*known here: .*FELIX_\[A-Z0-9\]\+'/,
  },
  {
    values: { networking: { mtu: 575 } },
    faults: ['networking.mtu: 575 is out of range (576 to 65535)'],
  },
  {
    values: { networking: { mtu: '1500' } },
    faults: ['networking.mtu: "1500" is not of type integer; write 1500 without quotes'],
    helm: /'\/networking\/mtu': got string, want integer/,
  },
  {
    values: { networking: { bgp: { asnumber: 4294967296 } } },
    faults: [`networking.bgp.asnumber: 4294967296 ${ASN}`],
  },
  {
    values: { networking: { bgp: { asnumber: 0 } } },
    faults: [`networking.bgp.asnumber: 0 ${ASN}`],
  },
  {
    values: { networking: { bgp: { ipv4: { peer: [] } } } },
    faults: [
      'networking.bgp.ipv4: "peer" is not a setting; known here: peers, community_cidr_ref, additional_cidrs, port',
    ],
    helm: /'\/networking\/bgp\/ipv4\/peer': value must be 'left out: .*known here: peers, comm/,
  },
  {
    values: { networking: { settings: { ippool: { ipip: { mode: 'always' } } } } },
    faults: [
      'networking.settings.ippool.ipip.mode: "always" is none of "Always", "CrossSubnet", "Never"',
    ],
    helm: /ipip\/mode': value must be one of 'Always', 'CrossSubnet', 'Never'/,
  },
  {
    values: { networking: { settings: { ippool: { vxlan: { mode: 'CrossSubnet' } } } } },
    faults: [
      'networking.settings.ippool.ipip.mode: "Always" asks for IP-in-IP, and ' +
        'networking.settings.ippool.vxlan.mode for VXLAN: packets travel in one of them; set one to Never',
    ],
  },
  {
    values: { networking: null },
    faults: ['values: "networking" is missing; leave it out to get the default'],
    helm: /missing property 'networking'/,
  },
  {
    values: { etcd: { enabled: 'yes', port: 0 } },
    faults: [
      'etcd.enabled: "yes" is not of type boolean; write true or false',
      'etcd.port: 0 is out of range (1 to 65535)',
    ],
    helm: /'\/etcd\/enabled': got string, want boolean/,
  },
  {
    values: { conf: { node: { FELIX_HEALTHENABLED: 'false' } } },
    faults: ['conf.node.FELIX_HEALTHENABLED: "false" is none of "true", true'],
    helm: /FELIX_HEALTHENABLED': value must be one of/,
  },
  {
    values: { networking: { pools: [{ name: 'a', cidr: '10.0.0.0/33' }] } },
    faults: [`networking.pools.0.cidr: "10.0.0.0/33" ${POOL}`],
  },
  {
    values: {
      networking: {
        pools: [
          { name: 'a', cidr: '10.0.0.0/16' },
          { name: 'a', cidr: '10.1.0.0/16' },
        ],
      },
    },
    faults: ['networking.pools.1.name: "a" is there already; names are given once'],
  },
  {
    values: {
      networking: {
        podSubnet: '172.16.0.0/12',
        pools: [
          { name: 'a', cidr: '172.20.0.0/16' },
          { name: 'b', cidr: '11.0.0.0/16' },
          { name: 'c', cidr: '11.0.128.0/17' },
        ],
      },
    },
    faults: [
      'networking.pools.0.cidr: "172.20.0.0/16" overlaps networking.podSubnet "172.16.0.0/12"; ' +
        APART,
      'networking.pools.2.cidr: "11.0.128.0/17" overlaps networking.pools.1.cidr "11.0.0.0/16"; ' +
        APART,
    ],
  },
  {
    values: { networking: { podSubnet: '10.96.0.0/12' } },
    faults: [
      `etcd.clusterIP: "10.96.232.136" overlaps networking.podSubnet "10.96.0.0/12"; ${APART}`,
    ],
  },
  {
    values: { networking: { pools: [{ name: 'a', cidr: '10.1.0.0/16', blocksize: 26 }] } },
    faults: [
      'networking.pools.0: "blocksize" is not a setting; known here: name, cidr, blockSize, ' +
        'ipipMode, vxlanMode, natOutgoing, disabled, disableBGPExport, nodeSelector, ' +
        'namespaceSelector, allowedUses, assignmentMode',
    ],
    helm: /'\/networking\/pools\/0\/blocksize': value must be 'left out: .*known here: name, cidr/,
  },
  {
    values: { networking: { bgp: { ipv4: { peers: [peer('a', 'tor')] } } } },
    faults: [`networking.bgp.ipv4.peers.0.spec.peerIP: "tor" ${PEER}`],
  },
  {
    values: {
      networking: { bgp: { ipv4: { peers: [peer('a', '10.0.0.1'), peer('a', '10.0.0.2')] } } },
    },
    faults: [
      'networking.bgp.ipv4.peers.1.metadata.name: "a" is there already; names are given once',
    ],
  },
  {
    values: { networking: { policy: { first: { priority: 10, rules: [] } } } },
    faults: ['networking.policy.first.priority: 10 is out of range (0 to 9)'],
  },
  {
    values: { networking: { policy: { first: { priority: 1, rules: [{ kind: 'Pod' }] } } } },
    faults: [
      'networking.policy.first.rules.0: "apiVersion" is missing; add it',
      'networking.policy.first.rules.0: "metadata" is missing; add it',
      'networking.policy.first.rules.0.kind: "Pod" is none of "BGPFilter", "GlobalNetworkPolicy", ' +
        '"GlobalNetworkSet", "HostEndpoint", "IPReservation", "NetworkPolicy", "NetworkSet", "Tier"',
    ],
    helm: /missing properties 'apiVersion', 'metadata'/,
  },
];
