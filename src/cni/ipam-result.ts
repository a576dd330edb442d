// The result of `calico-ipam` under another main plugin: addresses without an interface to belong to.
// Calico's shape is a full-length prefix and a route to it. Main plugins that cannot do without a
// gateway (ptp, a bridge that is one) get the configured one, in the pool's prefix.
import type { IpPool } from '../model/ip-pool.ts';
import { contains, hostCidr, parseCidr, prefixLengthOf } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { NetworkConfig } from './config.ts';
import { printCniResult, type ResultIp, type ResultRoute } from './result.ts';

export function printIpamResult(
  config: Pick<NetworkConfig, 'cniVersion' | 'gateway' | 'ipamRoutes'>,
  ips: readonly Ip[],
  pools: readonly IpPool[],
): string {
  const { gateway, ipamRoutes } = config;
  const withGateway = ips.map((ip) => addressOf(ip, gateway, pools));
  const own = ips
    .filter((ip) => gateway === undefined || familyOf(ip) !== familyOf(gateway))
    .map((ip): ResultRoute => ({ dst: hostCidr(ip) }));
  return printCniResult(config.cniVersion, {
    interfaces: [],
    ips: withGateway,
    routes: ipamRoutes.length > 0 ? (ipamRoutes as unknown as readonly ResultRoute[]) : own,
    dns: {},
  });
}

// A gateway outside the address's pool is none of its.
function addressOf(ip: Ip, gateway: Ip | undefined, pools: readonly IpPool[]): ResultIp {
  const pool = pools
    .map(({ spec }) => parseCidr(spec.cidr))
    .find((cidr) => cidr && gateway && contains(cidr, ip) && contains(cidr, gateway));
  return pool && gateway
    ? { address: `${ip}/${prefixLengthOf(pool)}`, gateway }
    : { address: hostCidr(ip) };
}
