// The verdict by the letter of Calico's documentation, as simply as it can be said. Written for this
// test alone: shares no code with the policy engine.
import type { RandomWorld, WorldPod, WorldPolicy, WorldRule, WorldSide } from './world.ts';

export interface Probe {
  readonly from: WorldPod;
  readonly to: WorldPod;
  readonly family: 4 | 6;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
}

/** Whether the probe arrives: the sender's egress allows it, and the receiver's ingress. */
export const arrives = (world: RandomWorld, probe: Probe): boolean =>
  says(world, probe.from, 'egress', probe) && says(world, probe.to, 'ingress', probe);

function says(
  world: RandomWorld,
  pod: WorldPod,
  direction: 'ingress' | 'egress',
  probe: Probe,
): boolean {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress';
  const applies = ({ selector, namespace, types }: WorldPolicy): boolean =>
    types.includes(type) &&
    selector.holds(pod.labels) &&
    (namespace === undefined || namespace === pod.namespace);
  const tiers = [...world.tiers, { name: 'default', order: 1e6, defaultAction: 'Deny' }];
  for (const tier of tiers.sort((a, b) => a.order - b.order)) {
    const policies = world.policies
      .filter((policy) => policy.tier === tier.name && applies(policy))
      .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
    let verdict: string | undefined;
    for (const policy of policies)
      verdict ??= decide(world, policy[direction], policy.namespace, probe);
    if (verdict === 'Allow') return true;
    if (verdict === 'Deny') return false;
    if (verdict === undefined && policies.length > 0 && tier.defaultAction === 'Deny') return false;
  }
  const profile = world.namespaces.find(({ name }) => name === pod.namespace)!;
  return decide(world, profile[direction], undefined, probe) === 'Allow';
}

function decide(
  world: RandomWorld,
  rules: readonly WorldRule[],
  namespace: string | undefined,
  probe: Probe,
): string | undefined {
  return rules.find(
    (rule) =>
      rule.action !== 'Log' &&
      (rule.protocol === undefined || rule.protocol === probe.protocol) &&
      rule.notProtocol !== probe.protocol &&
      (rule.ipVersion === undefined || rule.ipVersion === probe.family) &&
      fits(world, rule.source, namespace, addressOf(probe.from, probe), undefined, probe) &&
      fits(world, rule.destination, namespace, addressOf(probe.to, probe), probe.port, probe),
  )?.action;
}

const addressOf = (pod: WorldPod, { family }: Probe): string =>
  pod.addresses[family === 4 ? 0 : 1]!;

function fits(
  world: RandomWorld,
  side: WorldSide,
  namespace: string | undefined,
  address: string,
  port: number | undefined,
  probe: Probe,
): boolean {
  const { nets, notNets, ports, notPorts, notSelector, services } = side;
  if (services) return serves(world, services, address, port, probe);
  const ofFamily = (list: readonly string[]) =>
    list.filter((net) => net.includes(':') === (probe.family === 6));
  // A list that names only the other family leaves nothing of the rule.
  if (nets && !ofFamily(nets).some((net) => inNet(net, address))) return false;
  if (notNets && ofFamily(notNets).length === 0) return false;
  if (notNets?.some((net) => inNet(net, address))) return false;
  const numeric = (list: readonly (number | string)[]) =>
    list.some((one) => {
      const [first, last] = String(one).split(':').map(Number);
      return port! >= first! && port! <= (last ?? first!);
    });
  if (notPorts && numeric(notPorts)) return false;
  const named = world.pods.some(
    (pod) =>
      pod.addresses.includes(address) &&
      pod.webPort === port &&
      probe.protocol === 'TCP' &&
      selected(world, side, namespace, pod, undefined),
  );
  if (ports) {
    const byName = ports.includes('web') && named;
    if (!numeric(ports) && !byName) return false;
    if (byName && ports.every((one) => one === 'web')) return true;
  }
  const isLimited = side.selector || notSelector || side.namespaceSelector || side.serviceAccounts;
  if (!isLimited) return true;
  const found =
    world.pods.some(
      (pod) => pod.addresses.includes(address) && selected(world, side, namespace, pod, undefined),
    ) ||
    world.sets.some(
      (set) =>
        set.nets.some((net) => inNet(net, address)) &&
        selected(world, side, namespace, undefined, set.labels),
    );
  // With nothing to choose from, notSelector takes away from all addresses there are.
  const onlyNot = notSelector && isOnlyNot(side, namespace);
  if (!onlyNot) return found;
  const excluded = { selector: notSelector };
  return !(
    world.pods.some(
      (pod) =>
        pod.addresses.includes(address) && selected(world, excluded, undefined, pod, undefined),
    ) ||
    world.sets.some(
      (set) => set.nets.some((net) => inNet(net, address)) && notSelector.holds(set.labels),
    )
  );
}

// Who is asked serves on its ports; who asks speaks from any.
const serves = (
  world: RandomWorld,
  { name, namespace }: NonNullable<WorldSide['services']>,
  address: string,
  port: number | undefined,
  { protocol }: Probe,
): boolean =>
  world.slices.some(
    (slice) =>
      slice.service === name &&
      slice.namespace === namespace &&
      slice.addresses.includes(address) &&
      (port === undefined ||
        slice.ports.some((one) => one.port === port && one.protocol === protocol)),
  );

const isOnlyNot = (side: WorldSide, namespace: string | undefined): boolean =>
  !side.selector && !side.namespaceSelector && !side.serviceAccounts && namespace === undefined;

function selected(
  world: RandomWorld,
  side: WorldSide,
  namespace: string | undefined,
  pod: WorldPod | undefined,
  setLabels: Readonly<Record<string, string>> | undefined,
): boolean {
  const { selector, notSelector, namespaceSelector, serviceAccounts } = side;
  const labels = pod?.labels ?? setLabels ?? {};
  const limited = selector || notSelector || namespaceSelector || serviceAccounts;
  const { names, role } = serviceAccounts ?? {};
  if (names && !(pod && names.includes(pod.account))) return false;
  if (role && pod?.role !== role) return false;
  if (selector && !selector.holds(labels)) return false;
  const onlyNot = isOnlyNot(side, namespace);
  if (notSelector && !onlyNot && notSelector.holds(labels)) return false;
  if (namespaceSelector) {
    const own = world.namespaces.find(({ name }) => name === pod?.namespace)?.labels ?? {};
    return namespaceSelector.holds(own);
  }
  return !limited || namespace === undefined || namespace === pod?.namespace;
}

/** Whether a network holds an address of either family. */
function inNet(net: string, address: string): boolean {
  const [base = '', length] = net.split('/');
  if (base.includes(':') !== address.includes(':')) return false;
  const bits = address.includes(':') ? 128 : 32;
  const shift = BigInt(bits - Number(length));
  return numberOf(base) >> shift === numberOf(address) >> shift;
}

function numberOf(address: string): bigint {
  if (!address.includes(':'))
    return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = '', tail = ''] = address.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const zeros = 8 - words(head).length - words(tail).length;
  const groups = [...words(head), ...Array<string>(Math.max(0, zeros)).fill('0'), ...words(tail)];
  return groups.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}
