// This node's own record: what a start changes in it, and whose address collides with ours.

import { fail, ok, type Result } from '../../base/result.ts';
import { type Node, type NodeSpec, nodeAddress } from '../../model/node.ts';
import { parseAsn } from '../../net/asn.ts';
import { type InterfaceAddress, printInterfaceAddress } from '../../net/cidr.ts';
import { type Family, familyOf } from '../../net/ip.ts';
import type { Environment } from '../environment.ts';

const FIELDS = { 4: 'ipv4Address', 6: 'ipv6Address' } as const;

export const storedAddress = (
  spec: NodeSpec | undefined,
  family: Family,
): InterfaceAddress | undefined => nodeAddress(spec ?? {}, family);

/** The spec with another address of a family, or with none. */
export function withAddress(
  spec: NodeSpec,
  family: Family,
  address: InterfaceAddress | undefined,
): NodeSpec {
  const { [FIELDS[family]]: before, ...rest } = spec.bgp ?? {};
  const text = address && printInterfaceAddress(address);
  if (text === before) return spec;
  return { ...spec, bgp: { ...rest, ...(text && { [FIELDS[family]]: text }) } };
}

/** The variable AS; undefined when it is not set. */
export function asNumberOf(env: Environment): Result<number | undefined> {
  const text = (env['AS'] ?? '').trim();
  const asNumber = parseAsn(text);
  if (text === '' || asNumber) return ok(asNumber);
  return fail(`AS: '${text}' must be an AS number from 1 to 4294967295`);
}

/** The spec after this start. Fields that the start does not decide stay. */
export function nextNodeSpec(
  spec: NodeSpec,
  decided: {
    /** A family that is absent keeps what it has. */
    readonly addresses: ReadonlyMap<Family, InterfaceAddress | undefined>;
    readonly asNumber: number | undefined;
    readonly kubernetesNode: string;
  },
): NodeSpec {
  const { addresses, asNumber } = decided;
  const addressed = [...addresses].reduce(
    (next, [family, address]) => withAddress(next, family, address),
    spec,
  );
  const others = (spec.orchRefs ?? []).filter((ref) => ref.orchestrator !== 'k8s');
  return {
    ...addressed,
    bgp: { ...addressed.bgp, ...(asNumber !== undefined && { asNumber }) },
    orchRefs: [...others, { nodeName: decided.kubernetesNode, orchestrator: 'k8s' }],
  };
}

/** Calico's own sentence. */
export const addressTaken = (holder: string, { ip }: InterfaceAddress): string =>
  `Calico node '${holder}' is already using the IPv${familyOf(ip)} address ${ip}.`;

/** The name of another node that has this address. */
export function holderOf(
  address: InterfaceAddress,
  self: string,
  nodes: readonly Node[],
): string | undefined {
  const family = familyOf(address.ip);
  return nodes.find(
    (node) => node.metadata.name !== self && storedAddress(node.spec, family)?.ip === address.ip,
  )?.metadata.name;
}
