// The host forwards packets between pods and the network: it is told so, as long as FelixConfiguration
// (ipForwarding) does not say that this host has no pods. What is on already is never switched off.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { cidrFamily, parseCidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import type { World } from '../../policy/world.ts';

const SYSCTLS: Readonly<Record<Family, string>> = {
  4: 'ipv4/ip_forward',
  6: 'ipv6/conf/all/forwarding',
};

export class Forwarding {
  private readonly kernel: Pick<Kernel, 'getSysctl' | 'setSysctl'>;
  private readonly node: string;
  private readonly log: Log;
  private readonly done = new Set<Family>();

  constructor(kernel: Pick<Kernel, 'getSysctl' | 'setSysctl'>, node: string, log: Log) {
    this.kernel = kernel;
    this.node = node;
    this.log = log;
  }

  /** The datastore says this. IPv6 only where a pool is: a host that forwards it hears no routers. */
  look(world: Pick<World, 'setting' | 'pools'>): void {
    if (world.setting(this.node, 'forwarding') === false) return;
    this.enable(4);
    const families = [...world.pools.values()].map(({ spec }) => parseCidr(spec.cidr));
    if (families.some((cidr) => cidr && cidrFamily(cidr) === 6)) this.enable(6);
  }

  private enable(family: Family): void {
    if (this.done.has(family)) return;
    this.done.add(family);
    const sysctl = SYSCTLS[family];
    try {
      if (this.kernel.getSysctl(sysctl) === '1') return;
      this.kernel.setSysctl(sysctl, '1');
      this.log.info({ sysctl }, 'the host forwards packets now');
    } catch (cause) {
      this.log.error({ cause: messageOf(cause), sysctl }, 'the host could not be told to forward');
    }
  }
}
