// What GC removes: attachments of this node and network that the runtime does not list (CNI SPEC,
// section "GC"). Other networks' and other nodes' are never touched: where a name leaves doubt about
// the network, the attachment stays.
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { type Attachment, FIRST_INTERFACE, handleSuffix } from './request.ts';

/** On endpoints whose addresses are not in Calico's IPAM: their network is named nowhere else. */
export const NETWORK_ANNOTATION = 'calico-kit.io/network';

export interface StaleFacts {
  readonly network: string;
  readonly valid: readonly Attachment[];
  /** This node's endpoints. */
  readonly endpoints: readonly WorkloadEndpoint[];
  /** Handles of addresses that were assigned on this node. */
  readonly handles: readonly string[];
}

export interface Stale {
  readonly endpoints: readonly WorkloadEndpoint[];
  /** Attachments that have an address and no endpoint. */
  readonly addresses: readonly Attachment[];
}

export function staleAttachments({ network, valid, endpoints, handles }: StaleFacts): Stale {
  const listed = new Set(valid.map(textOf));
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const held = new Set(handles);
  const known = new Set(endpoints.map((endpoint) => textOf(attachmentOf(endpoint))));
  return {
    endpoints: endpoints.filter((endpoint) => {
      const attachment = attachmentOf(endpoint);
      const ours =
        held.has(`${network}${handleSuffix(attachment)}`) || networkOf(endpoint) === network;
      return ours && attachment.containerId !== '' && !listed.has(textOf(attachment));
    }),
    addresses: handles
      .flatMap((handle) => attachmentIn(handle, network) ?? [])
      .filter((attachment) => !listed.has(textOf(attachment)) && !known.has(textOf(attachment)))
      // Calico's own plugin gives every interface of a container the one handle.
      .filter((one) => one.ifname !== FIRST_INTERFACE || !containers.has(one.containerId)),
  };
}

const textOf = ({ containerId, ifname }: Attachment): string => `${containerId}/${ifname}`;

/** The attachment that an endpoint stands for. */
export const attachmentOf = ({ spec }: WorkloadEndpoint): Attachment => ({
  containerId: spec.containerID ?? '',
  ifname: spec.endpoint,
});

const networkOf = ({ metadata, spec }: WorkloadEndpoint): string | undefined =>
  metadata.annotations?.[NETWORK_ANNOTATION] ??
  (spec.orchestrator === 'cni' ? spec.profiles?.[0] : undefined);

// `<network>.<container>[:<interface>]`. Both names may hold dots: with one in what follows, the handle
// may be that of a longer network name.
function attachmentIn(handle: string, network: string): Attachment | undefined {
  if (!handle.startsWith(`${network}.`)) return undefined;
  const [containerId = '', ifname = FIRST_INTERFACE] = handle.slice(network.length + 1).split(':');
  return containerId === '' || containerId.includes('.') ? undefined : { containerId, ifname };
}
