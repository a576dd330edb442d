// Node ports on the node's loopback addresses: the kernel routes packets of these only when it is told
// to, and it is told once the guards are in its tables (CVE-2020-8558).
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel } from '../../kernel/kernel.ts';

const ROUTE_LOCALNET = 'ipv4/conf/all/route_localnet';

export class Localnet {
  private readonly kernel: Pick<Kernel, 'setSysctl'>;
  private readonly log: Log;
  private done = false;

  constructor(kernel: Pick<Kernel, 'setSysctl'>, log: Log) {
    this.kernel = kernel;
    this.log = log;
  }

  /** The guards are there. */
  guarded(): void {
    if (this.done) return;
    this.done = true;
    try {
      this.kernel.setSysctl(ROUTE_LOCALNET, '1');
    } catch (cause) {
      const words = 'node ports are not served on loopback addresses: route_localnet was refused';
      this.log.error({ cause: messageOf(cause) }, words);
    }
  }
}
