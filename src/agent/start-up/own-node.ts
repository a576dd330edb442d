// This node's own record: what a start changes in it, and whose address collides with ours.

import { fail, ok, type Result } from '../../base/result.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { parseAsn } from '../../net/asn.ts';
import { type InterfaceAddress, parseInterfaceAddress } from '../../net/cidr.ts';
import type { Environment } from '../environment.ts';

export const storedAddress = (spec: NodeSpec | undefined): InterfaceAddress | undefined =>
  parseInterfaceAddress(spec?.bgp?.ipv4Address ?? '');

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
    readonly address: InterfaceAddress | undefined;
    readonly asNumber: number | undefined;
    readonly kubernetesNode: string;
  },
): NodeSpec {
  const { ipv4Address: _, ...rest } = spec.bgp ?? {};
  const { address, asNumber } = decided;
  const bgp = {
    ...rest,
    ...(address && { ipv4Address: `${address.ip}/${address.prefixLength}` }),
    ...(asNumber !== undefined && { asNumber }),
  };
  const others = (spec.orchRefs ?? []).filter((ref) => ref.orchestrator !== 'k8s');
  return {
    ...spec,
    bgp,
    orchRefs: [...others, { nodeName: decided.kubernetesNode, orchestrator: 'k8s' }],
  };
}

/** Calico's own sentence. */
export const addressTaken = (holder: string, { ip }: InterfaceAddress): string =>
  `Calico node '${holder}' is already using the IPv4 address ${ip}.`;

/** The name of another node that has this address. */
export function holderOf(
  address: InterfaceAddress,
  self: string,
  nodes: readonly Node[],
): string | undefined {
  return nodes.find(
    (node) => node.metadata.name !== self && storedAddress(node.spec)?.ip === address.ip,
  )?.metadata.name;
}
