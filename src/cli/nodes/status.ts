// `calico-kit status`: every node as the datastore knows it, with what its agent found of the MTU.
import type { KeyValue } from '../../datastore/store.ts';
import { type Node, type NodeSpec, nodeMtuOf } from '../../model/node.ts';
import { parseResource } from '../../model/resource.ts';
import { boxTable, type Output } from '../output.ts';

interface NodeRow {
  readonly name: string;
  readonly address: string;
  readonly tunnels: readonly string[];
  /** Octets; undefined: the agent has not told. */
  readonly hostMtu: number | undefined;
  readonly interface: string;
  readonly podMtu: number | undefined;
  readonly problem: string | undefined;
}

/** `items`: the Node records. */
export function clusterStatus(items: readonly KeyValue[]): Output {
  const nodes = items.flatMap(({ value }) => {
    const node = parseResource<'Node', NodeSpec>('Node', value);
    return node.ok ? [rowOf(node.value)] : [];
  });
  if (nodes.length === 0) return { data: [], lines: ['No node has written its record yet.'] };
  const rows = nodes.map((node) => [
    node.name,
    node.address,
    node.tunnels.join(' '),
    node.interface,
    String(node.hostMtu ?? ''),
    String(node.podMtu ?? ''),
  ]);
  const headings = ['NODE', 'ADDRESS', 'TUNNEL', 'INTERFACE', 'HOST MTU', 'POD MTU'];
  return {
    data: nodes,
    lines: [
      ...boxTable(headings, rows, ['HOST MTU', 'POD MTU']),
      ...nodes.flatMap(({ name, problem }) => (problem ? [`${name}: ${problem}`] : [])),
    ],
  };
}

function rowOf(node: Node): NodeRow {
  const { bgp, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr } = node.spec;
  const tunnels = [bgp?.ipv4IPIPTunnelAddr, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr];
  const mtu = nodeMtuOf(node);
  return {
    name: node.metadata.name,
    address: bgp?.ipv4Address ?? bgp?.ipv6Address ?? '',
    tunnels: tunnels.filter((tunnel) => tunnel !== undefined),
    hostMtu: mtu?.host,
    interface: mtu?.interface ?? '',
    podMtu: mtu?.pods,
    problem: mtu?.problem,
  };
}
