// The node's IP-in-IP device, `tunl0`: the kernel's one for all tunnels, which cannot be removed. Routes over
// it are the speaker's.
import type { Log } from '../../base/log.io.ts';
import type { Kernel, Link } from '../../kernel/kernel.ts';
import { TUNNEL_DEVICES } from '../../model/tunnel.ts';
import type { TunnelDriver } from './tunnel.io.ts';

const EEXIST = 17;
const NAME = TUNNEL_DEVICES.ipip;

export const ipipDriver = (kernel: Kernel, log: Log): TunnelDriver => ({
  tunnel: 'ipip',
  async device(): Promise<Link | string> {
    const there = kernel.link(NAME);
    if (there) return there;
    const [refused] = kernel.applyEach([{ kind: 'addIpip', name: NAME }]);
    if (refused && refused.error.errno !== EEXIST)
      log.error({ cause: refused.error.message }, `no ${NAME}`);
    return kernel.link(NAME) ?? 'the kernel has no IP-in-IP';
  },
  async remove({ index }): Promise<void> {
    kernel.apply([{ kind: 'setLink', index, up: false }]);
  },
});
