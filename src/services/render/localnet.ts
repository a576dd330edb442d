// The node's loopback addresses as places of node ports: what the kernel then routes must not let a
// neighbour reach what listens on these addresses only (CVE-2020-8558).
import type { ChainRules } from '../../kernel/tables.ts';
import type { WantedTables } from '../write/writer.io.ts';
import { comment, type RenderOptions } from './rules.ts';

/** Of IPv4: the node's own, which no packet from elsewhere may be for. */
export const LOOPBACK = '127.0.0.0/8';

// kubelet's chain, for both of us (pkg/kubelet/kubelet_network_linux.go).
const SHARED = 'KUBE-FIREWALL';
export const TO_SHARED = `-j ${SHARED}`;

const WORDS = comment('block incoming localnet connections');
/** As kubelet writes it. */
const GUARD = `${WORDS} -d ${LOOPBACK} ! -s ${LOOPBACK} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`;

/** In `filter`: kubelet's guard where we let the kernel route; else only the chain. */
export const guardChain = ({
  localhostNodePorts,
}: RenderOptions): {
  readonly chains: readonly (readonly [string, ChainRules])[];
  readonly ensured: readonly string[];
} =>
  localhostNodePorts
    ? { chains: [[SHARED, [GUARD]]], ensured: [] }
    : { chains: [], ensured: [SHARED] };

/** kubelet's guard stands behind policy, which may accept what comes from pods: this one does not. */
export const LOCALNET = 'KUBE-PROXY-LOCALNET';

export const guardTable = ({ localhostNodePorts }: RenderOptions): Pick<WantedTables, 'raw'> =>
  localhostNodePorts
    ? {
        raw: {
          chains: new Map([[LOCALNET, [`${WORDS} ! -i lo -d ${LOOPBACK} -j DROP`]]]),
          hooks: new Map([['PREROUTING', [`${WORDS} -j ${LOCALNET}`]]]),
        },
      }
    : {};
