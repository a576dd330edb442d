// Fields of BGPConfiguration `default` and FelixConfiguration `default` that are read here and have no
// setting of their own, by Calico's names. What leaves the values leaves the resource. And the settings of
// kube-controllers.
import Type, { type TProperties } from 'typebox';
import { closed, map, optional, orNull, text } from './parts.ts';

const port = (description: string) => optional.whole(1, 65535, description);
const PRIORITY_MAX = 2147483646;

const described = (description: string) => Type.String({ description });

const cidrs = (description: string) =>
  Type.Optional(
    Type.Array(map({ cidr: Type.String({ description: 'A prefix' }) }), { description }),
  );

/** An object that is one value for the constructs. */
const fields = <P extends TProperties>(properties: P, description: string) =>
  Type.Optional(
    Type.Unsafe<Type.Static<Type.TObject<P>> | null>({
      ...orNull(Type.Object(properties, closed), description),
      default: {},
    }),
  );

export const bgpConfiguration = fields(
  {
    logSeverityScreen: optional.text('Level of the log, for programs of Calico'),
    bindMode: optional.word(['None', 'NodeIP'], 'NodeIP: listen on the node’s own address alone'),
    nodeMeshMaxRestartTime: optional.text('Time that routes outlive a restarting node, as 120s'),
    nodeMeshPassword: Type.Optional(
      map(
        {
          secretKeyRef: map({
            name: Type.String({ description: 'Secret with the TCP MD5 key of the mesh' }),
            key: Type.String({ description: 'Its key there' }),
          }),
        },
        'TCP MD5 key of the mesh',
      ),
    ),
    serviceClusterIPs: cidrs('Ranges of ClusterIPs that are announced'),
    serviceExternalIPs: cidrs('Ranges of external addresses of services that are announced'),
    serviceLoadBalancerIPs: cidrs('Ranges of load balancers’ addresses that are announced'),
    serviceLoadBalancerAggregation: optional.word(
      ['Enabled', 'Disabled'],
      'Whether ranges of load balancers are announced whole',
    ),
    ignoredInterfaces: optional.texts('Links over which no next hop is looked for'),
    ipv4NormalRoutePriority: optional.whole(1, PRIORITY_MAX, 'Metric of IPv4 routes'),
    ipv6NormalRoutePriority: optional.whole(1, PRIORITY_MAX, 'Metric of IPv6 routes'),
    localWorkloadPeeringIPV4: optional.text('The address of nodes that pods peer with'),
    localWorkloadPeeringIPV6: optional.text('The same, IPv6'),
    communities: Type.Optional(
      Type.Array(map({ name: described('Its name'), value: described('Such as 64512:100') }), {
        description: 'Communities by name, beside community_cidr_ref',
      }),
    ),
    prefixAdvertisements: Type.Optional(
      Type.Array(
        map({
          cidr: described('Routes within it'),
          communities: Type.Array(Type.String(), { description: 'Names or values' }),
        }),
        { description: 'Communities of own routes, beside community_cidr_ref' },
      ),
    ),
  },
  'Further fields of BGPConfiguration default, by Calico’s names',
);

const failsafes = (description: string) =>
  Type.Optional(
    Type.Array(
      map({
        protocol: Type.Unsafe<string>({
          type: 'string',
          enum: ['TCP', 'UDP', 'tcp', 'udp'],
          description: 'Protocol',
        }),
        port: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port' }),
        net: optional.text('Whose; absent: everybody’s'),
      }),
      { description },
    ),
  );

const ALLOW = ['Accept', 'Return'] as const;

export const felixConfiguration = fields(
  {
    logSeverityScreen: optional.text('Level of the log, for a Felix beside ours'),
    mtuIfacePattern: optional.text('Interfaces that lead to other nodes, a regular expression'),
    vxlanVNI: optional.whole(1, 16777215, 'Network identifier of VXLAN'),
    vxlanPort: port('UDP port of VXLAN'),
    featureDetectOverride: optional.text('ChecksumOffloadBroken=false and the like'),
    defaultEndpointToHostAction: optional.word(
      ['Drop', 'Return', 'Accept'],
      'What traffic from a pod to its node meets; FELIX_DEFAULTENDPOINTTOHOSTACTION goes before',
    ),
    failsafeInboundHostPorts: failsafes('Ports of host endpoints that no policy closes'),
    failsafeOutboundHostPorts: failsafes('The same, towards others'),
    logPrefix: optional.text(
      'What lines of Log rules begin with: %t tier, %k kind, %n name, %p namespace/name, %r rule',
    ),
    logActionRateLimit: optional.text('Lines of Log rules at most, such as 100/minute'),
    logActionRateLimitBurst: optional.whole(1, 10000, 'Lines at once'),
    iptablesFilterAllowAction: optional.word(ALLOW, 'What allowed packets meet in table filter'),
    iptablesMangleAllowAction: optional.word(ALLOW, 'What allowed packets meet in table mangle'),
    iptablesFilterDenyAction: optional.word(['Drop', 'Reject'], 'What denied packets meet'),
    chainInsertMode: optional.word(
      ['insert', 'append', 'Insert', 'Append'],
      'Where our jumps stand',
    ),
    natPortRange: optional.text('Source ports of masqueraded packets, such as 1000:2000'),
    natOutgoingAddress: optional.text('Source of masqueraded packets'),
    natOutgoingExclusions: optional.word(
      ['IPPoolsOnly', 'IPPoolsAndHostIPs'],
      'Destinations that are not masqueraded for',
    ),
    iptablesNATOutgoingInterfaceFilter: optional.text('Interfaces out of which is masqueraded'),
    interfacePrefix: optional.text('Prefixes of pods’ interfaces'),
    allowVXLANPacketsFromWorkloads: optional.flag('Pods may send VXLAN'),
    allowIPIPPacketsFromWorkloads: optional.flag('Pods may send IP-in-IP'),
    disableConntrackInvalidCheck: optional.flag('Packets of no known connection are not dropped'),
    externalNodesList: optional.texts('Addresses and prefixes of tunnel ends that are no nodes'),
    serviceLoopPrevention: optional.word(
      ['Drop', 'Reject', 'Disabled'],
      'What packets to services’ addresses meet that nobody serves',
    ),
    iptablesMarkMask: optional.whole(
      31,
      4294967295,
      'Bits of the packet mark for us, five or more; 4294901760 is 0xffff0000',
    ),
    maxIpsetSize: optional.whole(1, 4294967295, 'Members that an ip set may have'),
    ipForwarding: optional.word(
      ['Enabled', 'Disabled'],
      'Whether nodes are told to forward packets',
    ),
    workloadSourceSpoofing: optional.word(['Disabled', 'Any'], 'Pods may ask for other sources'),
    floatingIPs: optional.word(['Disabled', 'Enabled'], 'Pods may have floating addresses'),
  },
  'Further fields of FelixConfiguration default, by Calico’s names; FELIX_... in conf.node go before',
);

/** Of calico-kube-controllers, by the names of its variables. */
export const controllers = map({
  ENABLED_CONTROLLERS: text(
    'policy,namespace,serviceaccount,workloadendpoint,node',
    'What kube-controllers does, comma-separated; these settings are always written',
  ),
  LEAK_GRACE_PERIOD: text(
    '',
    'How long an address without an owner is left alone, such as 15m; 0: for ever; empty: 15m',
  ),
});
