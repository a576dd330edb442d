// The own Node's record of a tunnel, and the address behind it: in a block of the node, so that everybody
// knows whose packets from it are. Address and record change in one transaction.
import { OpError } from '../../base/op-error.ts';
import type { KeyValue, Store } from '../../datastore/store.ts';
import type { Allocator } from '../../ipam/allocator.io.ts';
import { assignTunnelAddress, tunnelHandle } from '../../ipam/tunnel.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import type { Encapsulation } from '../../model/mtu.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { parseResource, printResource } from '../../model/resource.ts';
import {
  TUNNEL_FAMILY,
  type TunnelRecord,
  tunnelRecord,
  vxlanMac,
  withTunnelRecord,
} from '../../model/tunnel.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { type Mac, parseMac } from '../../net/mac.ts';
import { enabledOf, isWithin } from './wanted.ts';

export interface StoredNode {
  readonly item: KeyValue;
  readonly node: Node;
}

export interface TunnelAddressParts {
  readonly node: string;
  readonly store: Store;
  readonly allocator: Allocator;
}

export async function readNode({ node, store }: TunnelAddressParts): Promise<StoredNode> {
  const key = resourceKey('nodes', node);
  const item = await store.get(key);
  const stored = item && parseResource<'Node', NodeSpec>('Node', item.value);
  if (!item || !stored?.ok) throw new OpError(`read ${key}`, 'it is not there or cannot be read');
  return { item, node: stored.value };
}

export interface WantedAddress {
  readonly tunnel: Encapsulation;
  readonly stored: StoredNode;
  /** Where the address may be. */
  readonly pools: readonly IpPool[];
  /** Told beside it, of a VXLAN device. */
  readonly mac?: Mac | undefined;
}

/** The address that the node has if it is in one of the pools, else a new one; the Node tells it. */
export async function ensureTunnelAddress(
  parts: TunnelAddressParts,
  { tunnel, stored, pools, mac }: WantedAddress,
): Promise<Ip> {
  const record = tunnelRecord(stored.node.spec, tunnel);
  const known = parseIp(record.address ?? '');
  const isMoving = known !== undefined && !isWithin(pools, known);
  if (isMoving) await release(parts, { tunnel, node: parts.node });
  const outcome = await assignTunnelAddress(parts.allocator, {
    tunnel,
    node: parts.node,
    pools: enabledOf(pools).map(({ spec }) => spec.cidr),
    alongside: ([address]) => recorded(stored, tunnel, { address, mac }),
  });
  const ip = outcome.kind === 'assigned' ? outcome.ips[0] : undefined;
  if (!ip) throw new OpError('assign a tunnel address', reasonOf(outcome));
  // It had the address already, and nothing was written: the record may lack it.
  if (ip !== known || mac !== record.mac) await writeRecord(parts, tunnel, { address: ip, mac });
  return ip;
}

/** No address any more; `mac` is told all the same, since others let in whom they know a device of. */
export async function withoutTunnelAddress(
  parts: TunnelAddressParts,
  { tunnel, stored, mac }: Omit<WantedAddress, 'pools'>,
): Promise<void> {
  const record = tunnelRecord(stored.node.spec, tunnel);
  if (record.address !== undefined) {
    const alongside = recorded(stored, tunnel, { mac });
    await release(parts, { tunnel, node: parts.node, alongside });
  } else if (record.mac !== mac) await writeRecord(parts, tunnel, { mac });
}

/** Gives the address back; the Node tells none any more. A hardware address that somebody chose stays. */
export async function releaseTunnelAddress(
  parts: TunnelAddressParts,
  tunnel: Encapsulation,
  stored: StoredNode,
): Promise<void> {
  const mac = chosenMac(stored, tunnel);
  await withoutTunnelAddress(parts, { tunnel, stored, mac });
}

/** Whether the Node tells of a device that its agent made. */
export function tellsOfDevice({ node }: Pick<StoredNode, 'node'>, tunnel: Encapsulation): boolean {
  const { address, mac } = tunnelRecord(node.spec, tunnel);
  return address !== undefined || mac !== chosenMac({ node }, tunnel);
}

function chosenMac({ node }: Pick<StoredNode, 'node'>, tunnel: Encapsulation): Mac | undefined {
  const mac = parseMac(tunnelRecord(node.spec, tunnel).mac ?? '');
  return mac === vxlanMac(node.metadata.name, TUNNEL_FAMILY[tunnel]) ? undefined : mac;
}

async function release(
  { allocator }: TunnelAddressParts,
  {
    tunnel,
    node,
    alongside,
  }: {
    readonly tunnel: Encapsulation;
    readonly node: string;
    readonly alongside?: ReturnType<typeof recorded>;
  },
): Promise<void> {
  const outcome = await allocator.release({
    handleId: tunnelHandle(tunnel, node),
    ...(alongside ? { alongside } : {}),
  });
  if (outcome.kind !== 'released')
    throw new OpError('release the tunnel address', reasonOf(outcome));
}

async function writeRecord(
  parts: TunnelAddressParts,
  tunnel: Encapsulation,
  record: TunnelRecord,
): Promise<void> {
  const stored = await readNode(parts);
  const { address, mac } = tunnelRecord(stored.node.spec, tunnel);
  if (address === record.address && mac === record.mac) return;
  const { compares, writes } = recorded(stored, tunnel, record);
  const outcome = await parts.store.transaction(compares, writes);
  if (outcome.kind !== 'committed') throw new OpError('write the Node', 'somebody else just did');
}

/** The Node as it was read, with another record of the tunnel. */
function recorded({ item, node }: StoredNode, tunnel: Encapsulation, record: TunnelRecord) {
  const value = printResource({ ...node, spec: withTunnelRecord(node.spec, tunnel, record) });
  return {
    compares: [{ key: item.key, revision: item.revision }],
    writes: [{ kind: 'put', key: item.key, value } as const],
  };
}

const reasonOf = (outcome: { readonly kind: string; readonly message?: string }): string =>
  outcome.message ?? outcome.kind;
