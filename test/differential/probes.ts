// What is asked of a world, and what the evaluator answers.
import { ip } from '../../src/net/ip.ts';
import { evaluate } from '../../src/policy/explain/evaluate.ts';
import type { PolicyModel } from '../../src/policy/explain/model.ts';
import type { Packet } from '../../src/policy/explain/packet.ts';
import type { Chance } from './chance.ts';
import type { Probe } from './reference.ts';
import { PORTS, type RandomWorld, type WorldPod } from './world.ts';

export const probesOf = (world: RandomWorld, chance: Chance, count: number): readonly Probe[] =>
  Array.from({ length: count }, () => {
    const from = chance.pick(world.pods);
    const others = world.pods.filter((pod) => pod !== from);
    return {
      from,
      to: chance.pick(others),
      family: chance.pick([4, 6] as const),
      protocol: chance.pick(['TCP', 'UDP'] as const),
      port: chance.pick(PORTS),
    };
  });

/** Both ends are asked, as the node does. */
export function evaluated(
  model: PolicyModel,
  { from, to, family, protocol, port }: Probe,
): boolean {
  const address = (pod: WorldPod) => ip(pod.addresses[family === 4 ? 0 : 1]!);
  const packet: Packet = {
    source: address(from),
    destination: address(to),
    protocol: protocol.toLowerCase(),
    sourcePort: 50_000,
    destinationPort: port,
  };
  const endpoint = (pod: WorldPod) =>
    [...model.endpoints].find(([key]) => key.endsWith(`-k8s-${pod.name}-eth0`))![1];
  return (
    evaluate(model, endpoint(from), 'egress', packet).verdict === 'allow' &&
    evaluate(model, endpoint(to), 'ingress', packet).verdict === 'allow'
  );
}
