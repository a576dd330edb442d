// Values files that come with the chart as `ci/*-values.yaml`: starting points for users, and
// what tests install. Each is complete with what it leaves to the defaults.

/** Text of a values file by its name. */
export const examples: Readonly<Record<string, string>> = {
  // The keys and comments of the openstack-helm chart, so that its files work as they are.
  openstack: `networking:
  podSubnet: 192.168.0.0/16
  # NOTE(portdirect): this should be the physical MTU, the appropriate MTU
  # that calico should use will be calculated.
  mtu: 1500
  settings:
    mesh: "on"
  bgp:
    # our asnumber for bgp peering
    asnumber: 64512
    ipv4:
conf:
  node:
    # Detection of source interface for routing
    # options include
    # can-reach=DESTINATION
    # interface=INTERFACE-REGEX
    IP_AUTODETECTION_METHOD: first-found
    IPV6_AUTODETECTION_METHOD: first-found
`,
  'plain-routes': `# Nodes on one network: no tunnel, so pods get the whole MTU.
networking:
  settings:
    ippool:
      ipip:
        mode: Never
`,
  'external-etcd': `# A datastore of your own instead of calico-etcd.
etcd:
  enabled: false
  endpoints: http://10.0.2.6:2379,http://10.0.2.7:2379,http://10.0.2.8:2379
`,
};
