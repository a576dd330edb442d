// The node's tunnel devices and the overlay that runs over them, as the agent runs them.
import type { Allocator } from '../../ipam/allocator.io.ts';
import type { ClusterRoutes } from '../../model/cluster-routes.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { Encapsulation } from '../../model/mtu.ts';
import { TUNNEL_FAMILY, VXLAN_DEFAULTS } from '../../model/tunnel.ts';
import type { AgentParts } from '../agent.io.ts';
import { Overlay } from '../overlay/overlay.io.ts';
import type { DatastoreView } from '../view.ts';
import { ipipDriver } from './ipip.io.ts';
import { Tunnels } from './tunnels.io.ts';
import { type VxlanOptions, vxlanDriver } from './vxlan.io.ts';

export interface NodeTunnels {
  readonly devices: Tunnels;
  readonly overlay: Overlay;
}

export interface NodeTunnelsParts {
  readonly node: string;
  readonly view: DatastoreView;
  readonly allocator: Allocator;
  /** Octets, as they are set; undefined: what the link leaves. */
  readonly mtu: (tunnel: Encapsulation) => number | undefined;
  /** Why there is no device may be other. */
  readonly onChange: () => void;
}

/** Idle until they are woken. */
export function openTunnels(parts: AgentParts, own: NodeTunnelsParts): NodeTunnels {
  const { kernel, log, settings } = parts;
  const pools = () => own.view.pools;
  const { hasSpeaker } = settings;
  const routesOwner = (pool: keyof ClusterRoutes) =>
    own.view.ownerOfRoutes(pool, parts.env['FELIX_PROGRAMCLUSTERROUTES']);
  const overlay = new Overlay({ ...parts, node: own.node, pools, hasSpeaker, routesOwner });
  const options = () => vxlanOptions(own.view.felixConfiguration, settings.felix?.vxlanPort);
  const vxlan = (tunnel: 'vxlan' | 'vxlanV6') =>
    vxlanDriver({
      tunnel,
      kernel,
      log,
      options,
      ready: (link) => overlay.deviceReady(TUNNEL_FAMILY[tunnel], link),
    });
  const devices = new Tunnels({
    ...parts,
    ...own,
    pools,
    drivers: [ipipDriver(kernel, log), vxlan('vxlan'), vxlan('vxlanV6')],
  });
  return { devices, overlay };
}

const BROKEN_OFFLOAD = /(?:^|,)\s*ChecksumOffloadBroken\s*=\s*(\w+)/;

/**
 * Felix holds checksum offload of VXLAN devices for broken in every kernel unless it is told
 * otherwise: packets that were translated on the way would leave with wrong inner checksums.
 */
function vxlanOptions(
  { vxlanVNI, vxlanPort, featureDetectOverride }: FelixConfigurationSpec,
  portByEnvironment: number | undefined,
): VxlanOptions {
  const [, broken] = BROKEN_OFFLOAD.exec(featureDetectOverride ?? '') ?? [];
  return {
    vni: vxlanVNI ?? VXLAN_DEFAULTS.vni,
    port: portByEnvironment ?? vxlanPort ?? VXLAN_DEFAULTS.port,
    checksumOffloadBroken: broken?.toLowerCase() !== 'false',
  };
}
