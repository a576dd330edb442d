// Whether an allocated address has an owner. What is not known to be a pod's is left alone.
import { MAIN_PLUGIN } from '../../model/ipam.ts';
import { type Allocation, type Facts, isNodeGone, machineIn, type PodFacts } from './facts.ts';

const TUNNEL_TYPE = /TunnelAddress$/;

export function isValid(facts: Facts, allocation: Allocation): boolean {
  const { attributes } = allocation;
  const { type, keep, statefulset, namespace, pod } = attributes;
  // With the node, by whoever removes the node; here only when Calico's record is gone too.
  if (type !== undefined) return !(TUNNEL_TYPE.test(type) && isForgotten(facts, allocation));
  const machine = machineIn(allocation);
  if (machine !== undefined && facts.keepsMachines && facts.machines.has(machine)) return true;
  if (keep === 'true' && machine === undefined)
    return statefulset === undefined || isOrdinalWanted(facts, attributes, statefulset);
  if (pod === undefined || namespace === undefined) return true;
  const known = facts.pods.get(`${namespace}/${pod}`);
  return known !== undefined && isOfPod(facts, allocation, known);
}

const isForgotten = (facts: Facts, allocation: Allocation): boolean =>
  isNodeGone(facts, allocation) && !facts.nodes.has(allocation.attributes['node']!);

function isOfPod(facts: Facts, allocation: Allocation, pod: PodFacts): boolean {
  const { namespace, pod: name, node } = allocation.attributes;
  const podNode = node === undefined ? undefined : (facts.nodes.get(node) ?? node);
  if (podNode !== undefined && pod.node !== undefined && pod.node !== podNode) return false;
  const ofEndpoints = facts.endpoints.get(`${namespace}/${name}`) ?? new Set();
  if (ofEndpoints.has(allocation.ip)) return true;
  if (pod.isFinished) return false;
  // Another main plugin's: it has no endpoint, and of a further interface the pod's status is silent.
  if (allocation.attributes[MAIN_PLUGIN] !== undefined) return true;
  // A pod that has no address yet is about to get this one.
  return pod.ips.includes(allocation.ip) || (pod.ips.length === 0 && ofEndpoints.size === 0);
}

/** A stable address is its ordinal's while the StatefulSet wants that ordinal. */
function isOrdinalWanted(
  { statefulSets, pods }: Facts,
  { namespace, pod }: Readonly<Record<string, string>>,
  statefulSet: string,
): boolean {
  if (namespace === undefined || pod === undefined) return true;
  if (pods.has(`${namespace}/${pod}`)) return true;
  const set = statefulSets.get(`${namespace}/${statefulSet}`);
  const ordinal = /-(\d+)$/.exec(pod)?.[1];
  if (!set || ordinal === undefined) return set !== undefined;
  return Number(ordinal) >= set.first && Number(ordinal) < set.first + set.count;
}
