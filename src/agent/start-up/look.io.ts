// What the choice of the node's address is made from: this machine, and what the cluster says of it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import { freshTurn } from '../../base/pause.io.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { parseIp } from '../../net/ip.ts';
import type { Surroundings } from './autodetect.ts';
import type { AddressPlan } from './node-address.ts';
import { sourceAddressTowards } from './source-address.io.ts';

const KUBERNETES_PATIENCE_MILLISECONDS = 2000;

export interface LookParts {
  readonly kernel: Pick<Kernel, 'links' | 'addresses'>;
  readonly kubernetes: Pick<KubernetesApi, 'getNode'> | undefined;
  readonly log: Log;
}

/** Asks only what the plan needs. */
export async function lookAround(
  { kernel, kubernetes, log }: LookParts,
  plan: AddressPlan,
  kubernetesNode: string,
): Promise<Surroundings> {
  if (plan.kind === 'none' || plan.kind === 'keep') return { links: [], addresses: [] };
  await freshTurn(); // many links take milliseconds
  const around = { links: kernel.links(), addresses: kernel.addresses() };
  if (plan.kind !== 'detect') return around;
  if (plan.method.kind === 'can-reach')
    return {
      ...around,
      sourceAddress: await sourceAddressTowards(plan.method.destination, plan.family),
    };
  if (plan.method.kind !== 'kubernetes-internal-ip' || !kubernetes) return around;
  const patience = sleep(KUBERNETES_PATIENCE_MILLISECONDS, undefined, { ref: false });
  const asked = kubernetes.getNode(kubernetesNode).catch((cause: unknown) => {
    log.warn({ cause: messageOf(cause) }, `the Kubernetes node ${kubernetesNode} cannot be read`);
    return undefined;
  });
  const found = await Promise.race([asked, patience]);
  const addresses = found?.status?.addresses?.filter(({ type }) => type === 'InternalIP') ?? [];
  return { ...around, internalIps: addresses.flatMap(({ address }) => parseIp(address) ?? []) };
}
