// The node's VXLAN devices, `vxlan.calico` and `vxlan-v6.calico`: made as FelixConfiguration says, made anew
// when that or the node's address is another, without checksum offload where the kernel gets it wrong.

import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel, Link, VxlanSettings } from '../../kernel/kernel.ts';
import { TUNNEL_DEVICES, TUNNEL_FAMILY, tunnelRecord, vxlanMac } from '../../model/tunnel.ts';
import { type Mac, parseMac } from '../../net/mac.ts';
import type { StoredNode } from './own-node.io.ts';
import type { Carrier, TunnelDriver } from './tunnel.io.ts';

export interface VxlanOptions {
  readonly vni: number;
  readonly port: number;
  /** Inner checksums that are left to hardware come out wrong. */
  readonly checksumOffloadBroken: boolean;
}

export interface VxlanParts {
  readonly tunnel: 'vxlan' | 'vxlanV6';
  readonly kernel: Kernel;
  readonly log: Log;
  readonly options: () => VxlanOptions;
  /** The device is as it shall be. */
  readonly ready: (link: Link) => void;
}

export function vxlanDriver({ tunnel, kernel, log, options, ready }: VxlanParts): TunnelDriver {
  const name = TUNNEL_DEVICES[tunnel];
  const mac = (stored: StoredNode) => macOf(stored, tunnel);
  return {
    tunnel,
    mac,
    async device(carrier, mtu, stored): Promise<Link | string> {
      const { vni, port } = options();
      const vxlan = settingsOf(carrier, { vni, port });
      if (typeof vxlan === 'string') return vxlan;
      const there = kernel.link(name);
      if (there && isSame(there.vxlan, vxlan)) return there;
      if (there) await kernel.deleteLink(name);
      const [refused] = kernel.applyEach([
        { kind: 'addVxlan', name, mac: mac(stored), mtu, vxlan },
      ]);
      if (refused) log.error({ cause: refused.error.message }, `no ${name}`);
      return kernel.link(name) ?? `no ${name}: ${refused?.error.message ?? 'it vanished at once'}`;
    },
    ready(link): void {
      setOffload(kernel, name, !options().checksumOffloadBroken, log);
      ready(link);
    },
    async remove(): Promise<void> {
      await kernel.deleteLink(name);
    },
  };
}

// What the Node names, else what everybody works out from the node's name.
const macOf = ({ node }: StoredNode, tunnel: 'vxlan' | 'vxlanV6'): Mac =>
  parseMac(tunnelRecord(node.spec, tunnel).mac ?? '') ??
  vxlanMac(node.metadata.name, TUNNEL_FAMILY[tunnel]);

function settingsOf(
  { link, address }: Carrier,
  { vni, port }: Pick<VxlanOptions, 'vni' | 'port'>,
): VxlanSettings | string {
  if (!address) return 'the Node has no address that VXLAN packets could come from';
  if (!link) return `no link has the Node's address ${address}`;
  return { vni, port, local: address, parentIndex: link.index, learning: false };
}

const isSame = (a: VxlanSettings | undefined, b: VxlanSettings): boolean =>
  a !== undefined &&
  a.vni === b.vni &&
  a.port === b.port &&
  a.local === b.local &&
  a.parentIndex === b.parentIndex &&
  a.learning === b.learning;

// Some kernels cannot do it; packets travel all the same.
function setOffload(kernel: Kernel, name: string, on: boolean, log: Log): void {
  try {
    if (kernel.offloadsChecksums(name) !== on) kernel.setChecksumOffload(name, on);
  } catch (cause) {
    log.warn({ cause: messageOf(cause) }, `checksum offload of ${name} stays as it is`);
  }
}
