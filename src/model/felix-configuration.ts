// FelixConfiguration: the policy engine's settings, `default` and `node.<name>`.
import type { Resource } from './resource.ts';

/** A port, and whose; absent net: everybody's. */
export interface ProtocolPort {
  /** Lower or upper case. */
  readonly protocol: string;
  readonly port: number;
  readonly net?: string;
}

export interface FelixConfigurationSpec {
  readonly ipipEnabled?: boolean;
  /** Pools whose routes are the agent's (see cluster-routes.ts); absent: what the speaker leaves. */
  readonly programClusterRoutes?: string;
  /** MTU of the IP-in-IP device in bytes; absent: found by the policy engine. */
  readonly ipipMTU?: number;
  /** The same of the VXLAN devices, IPv4 and IPv6. */
  readonly vxlanMTU?: number;
  readonly vxlanMTUV6?: number;
  /** Interfaces that lead to other nodes, a regular expression; absent: MTU_INTERFACES. */
  readonly mtuIfacePattern?: string;
  /** Network identifier of VXLAN; absent: 4096. */
  readonly vxlanVNI?: number;
  /** UDP port of VXLAN; absent: 4789. */
  readonly vxlanPort?: number;
  /** `ChecksumOffloadBroken=false,...`: what the policy engine would find out by itself. */
  readonly featureDetectOverride?: string;
  readonly logSeverityScreen?: string;
  readonly reportingInterval?: string;
  readonly defaultEndpointToHostAction?:
    | 'Drop'
    | 'Return'
    | 'Accept'
    | 'DROP'
    | 'RETURN'
    | 'ACCEPT';
  /** Ports of host endpoints that no policy closes; absent: FAILSAFES, empty: none. */
  readonly failsafeInboundHostPorts?: readonly ProtocolPort[];
  readonly failsafeOutboundHostPorts?: readonly ProtocolPort[];
  /** Of Log rules' lines; absent: calico-packet. */
  readonly logPrefix?: string;
  /** `100/minute`; absent: no limit. */
  readonly logActionRateLimit?: string;
  /** Absent: 5. */
  readonly logActionRateLimitBurst?: number;
  /** What packets that policy allows meet in the filter table, and in mangle; absent: Accept. */
  readonly iptablesFilterAllowAction?: string;
  readonly iptablesMangleAllowAction?: string;
  /** What denied packets meet, Drop or Reject; absent: Drop. */
  readonly iptablesFilterDenyAction?: string;
  /** Whether our jumps stand first (insert) or last (append) in the kernel's chains; absent: insert. */
  readonly chainInsertMode?: string;
  /** Source ports of masqueraded packets, `1000:2000`. */
  readonly natPortRange?: string | number;
  readonly natOutgoingAddress?: string;
  /** IPPoolsOnly or IPPoolsAndHostIPs. */
  readonly natOutgoingExclusions?: string;
  readonly iptablesNATOutgoingInterfaceFilter?: string;
  /** Prefixes of workloads' interfaces, comma separated; absent: cali. */
  readonly interfacePrefix?: string;
  readonly allowVXLANPacketsFromWorkloads?: boolean;
  readonly allowIPIPPacketsFromWorkloads?: boolean;
  readonly disableConntrackInvalidCheck?: boolean;
  /** Addresses and prefixes of tunnel ends that are no nodes. */
  readonly externalNodesList?: readonly string[];
  /** Drop, Reject or Disabled; absent: Drop. */
  readonly serviceLoopPrevention?: string;
  /** Bits of the packet mark that rules may use, five or more; absent: 0xffff0000. */
  readonly iptablesMarkMask?: number;
  /** Members that an ip set may have; absent: 1048576. */
  readonly maxIpsetSize?: number;
  /** Whether the host is told to forward packets, Enabled or Disabled; absent: Enabled. */
  readonly ipForwarding?: string;
  /** Whether pods may ask to send from addresses that are not theirs; absent: Disabled. */
  readonly workloadSourceSpoofing?: 'Disabled' | 'Any';
  /** Whether pods are reached under the floating addresses of their records; absent: Disabled. */
  readonly floatingIPs?: 'Disabled' | 'Enabled';
}

export type FelixConfiguration = Resource<'FelixConfiguration', FelixConfigurationSpec>;
