// Node ports on the node's loopback addresses: the kernel routes packets of these only when it is told
// to, and it is told once the guards are in its tables (CVE-2020-8558).
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Tables } from '../../kernel/tables.ts';
import { ROUTE_LOCALNET, releaseLocalnet } from '../../services/write/release.io.ts';

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

/** Node ports are not served there, or not any more: what an earlier run switched on is off again. */
export async function withoutLocalnet(
  kernel: Pick<Kernel, 'setSysctl'>,
  tables: Tables,
  log: Log,
): Promise<void> {
  try {
    if (await releaseLocalnet(kernel, tables))
      log.info('loopback addresses have no node ports any more: route_localnet is off');
  } catch (cause) {
    log.error({ cause: messageOf(cause) }, 'route_localnet and its guard stay as they were');
  }
}
