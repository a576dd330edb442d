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
  vxlan: `# Pods' packets travel in VXLAN where nodes have different subnets; no BGP, no container bgp.
networking:
  settings:
    ippool:
      ipip:
        mode: Never
      vxlan:
        mode: CrossSubnet
conf:
  node:
    CALICO_NETWORKING_BACKEND: vxlan
`,
  'service-proxy': `# No kube-proxy: calico-node serves Services. Where one runs, set takeOver, upgrade, and remove it
# when the node pods are ready: its chains are taken over as they stand, no connection is lost.
serviceProxy:
  enabled: true
  apiServer:
    host: 10.0.0.10
    port: 6443
`,
  'external-etcd': `# A datastore of your own instead of calico-etcd.
etcd:
  enabled: false
  endpoints: http://10.0.2.6:2379,http://10.0.2.7:2379,http://10.0.2.8:2379
`,
  'etcd-tls': `# TLS between all sides of calico-etcd, with certificates that a Job makes in the cluster. For new
# ones: helm upgrade --set-string etcd.tls.rotate=TEXT
etcd:
  tls:
    mode: generate
`,
  'etcd-members': `# A datastore that survives the loss of a node: a member on each of three control-plane nodes, TLS
# among all sides, a snapshot each night into a folder of one of them, and space given back on
# Sundays. To go back: helm upgrade --set etcd.restore=FILE
etcd:
  members: 3
  tls:
    mode: generate
  snapshots:
    schedule: 30 2 * * *
    keep: 14
  defragmentation:
    schedule: 30 3 * * 0
`,
  'route-reflectors': `# The nodes with this label reflect routes for all others, and the mesh goes once they do.
# kubectl label node NAME example.com/reflector=; per_zone: 2 takes two of them in each zone.
networking:
  bgp:
    route_reflectors:
      node_selector: has(example.com/reflector)
`,
  'top-of-rack': `# Every node peers with the switch of its rack; the mesh is off.
networking:
  settings:
    mesh: "off"
    ippool:
      ipip:
        mode: Never
  bgp:
    asnumber: 64512
    ipv4:
      peers:
        - apiVersion: projectcalico.org/v3
          kind: BGPPeer
          metadata:
            name: rack-a
          spec:
            nodeSelector: rack == "a"
            peerIP: 10.0.1.254
            asNumber: 65001
        - apiVersion: projectcalico.org/v3
          kind: BGPPeer
          metadata:
            name: rack-b
          spec:
            nodeSelector: rack == "b"
            peerIP: 10.0.2.254
            asNumber: 65002
      community_cidr_ref:
        pods:
          cidr: 192.168.0.0/16
          community: 100
`,
  'pools-and-policies': `# A second pool for one zone, and policies that come with the installation.
networking:
  pools:
    - name: edge
      cidr: 10.20.0.0/16
      blockSize: 28
      nodeSelector: zone == "edge"
      natOutgoing: true
  policy:
    base:
      priority: 0
      rules:
        - apiVersion: projectcalico.org/v3
          kind: Tier
          metadata:
            name: security
          spec:
            order: 100
        - apiVersion: projectcalico.org/v3
          kind: GlobalNetworkSet
          metadata:
            name: metadata-service
            labels:
              role: metadata
          spec:
            nets: [169.254.169.254/32]
    rules:
      priority: 1
      rules:
        - apiVersion: projectcalico.org/v3
          kind: GlobalNetworkPolicy
          metadata:
            name: no-metadata
          spec:
            tier: security
            order: 10
            selector: has(projectcalico.org/namespace)
            types: [Egress]
            egress:
              - action: Deny
                destination:
                  selector: role == "metadata"
              - action: Pass
`,
  configurations: `# Fields of Calico's configurations that have no setting of their own; smaller blocks on labelled
# nodes; fewer controllers; a network configuration of your own; further prefixes for peers.
networking:
  settings:
    ippool:
      block_size: 28
      node_selector: has(pods)
      disable_bgp_export: "off"
  bgp:
    ipv4:
      additional_cidrs: [10.99.0.0/16]
bgpConfiguration:
  bindMode: NodeIP
  serviceClusterIPs:
    - cidr: 10.96.0.0/12
felixConfiguration:
  vxlanVNI: 5000
  failsafeInboundHostPorts:
    - protocol: TCP
      port: 22
conf:
  controllers:
    ENABLED_CONTROLLERS: policy,namespace,serviceaccount,node
    LEAK_GRACE_PERIOD: 30m
  cni_network_config:
    name: k8s-pod-network
    cniVersion: 0.3.1
    plugins:
      - type: calico
        log_level: info
        mtu: __CNI_MTU__
        ipam:
          type: calico-ipam
        kubernetes:
          kubeconfig: __KUBECONFIG_FILEPATH__
      - type: portmap
        snat: true
        capabilities:
          portMappings: true
`,
  monitoring: `# Prometheus Operator finds the pods and the alerts, Grafana the dashboard.
monitoring:
  monitor:
    kind: PodMonitor
    labels:
      release: prometheus
  alerts:
    enabled: true
    labels:
      release: prometheus
    runbook_url: https://wiki.example.com/calico/RUNBOOKS.md
  dashboard:
    enabled: true
`,
  'private-registry': `# Images from a mirror; kube-controllers as a pod of the network, kept through drains.
images:
  registry: registry.example.com:5000/mirror
  pull_secrets: [registry-password]
pod:
  kube_controllers:
    host_network: false
    min_available: 1
`,
  argocd: `# Argo CD applies etcd before the nodes, and the nodes before the controllers. Nodes are updated when
# somebody deletes their pods.
argocd:
  sync_waves: true
pod:
  calico_node:
    update_strategy: OnDelete
`,
  'busy-nodes': `# Pods with limits, labels and variables of your own, two nodes updated at a time.
pod:
  calico_node:
    max_unavailable: 2
    resources:
      requests:
        cpu: 250m
        memory: 256Mi
      limits:
        memory: 1Gi
    annotations:
      example.com/owner: network-team
    extra_env:
      - name: NODE_OPTIONS
        value: --max-old-space-size=768
  kube_controllers:
    resources:
      requests:
        cpu: 100m
        memory: 128Mi
images:
  pull_secrets: [registry-password]
`,
};
