// Whose interface an ADD is for: the pod, its namespace, and what their annotations wish for.
import { messageOf } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import {
  FLOATING_IPS,
  type Machine,
  machineOf,
  type Wishes,
  wishesOf,
} from '../../../cni/annotations.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import { type CniRequest, machineHandleOf } from '../../../cni/request.ts';
import { isFinished, type Namespace, type Pod } from '../../../kubernetes/api.ts';
import { contains, parseCidr } from '../../../net/cidr.ts';
import type { CniContext } from '../context.ts';

export interface Owner {
  /** Both absent outside Kubernetes, and when the configuration does not ask for its policy. */
  readonly pod: Pod | undefined;
  readonly namespace: Namespace | undefined;
  readonly wishes: Wishes;
  /** The KubeVirt VM whose address the pod shall have. */
  readonly machine: Machine | undefined;
}

/** Errors: 3 no such pod, 11 Kubernetes cannot be asked, 7 and 103 of the annotations. */
export async function findOwner(
  context: CniContext,
  request: CniRequest,
): Promise<Result<Owner, CniError>> {
  const found = await ask(context, request);
  if (!found.ok) return found;
  const { pod, namespace } = found.value;
  const wishes = wishesOf({
    request,
    pod: pod?.metadata.annotations,
    namespace: namespace?.metadata.annotations,
    spoofingAllowed: context.view.sourceSpoofingAllowed,
  });
  if (!wishes.ok) return wishes;
  const stray = strayAddress(context, wishes.value);
  if (stray) return fail(stray);
  const machine = await heard(() => machineFor(context, request, pod));
  return machine.ok
    ? ok({ pod, namespace, wishes: wishes.value, machine: machine.value })
    : fail(machine.error);
}

// While a pod of the VM still runs the address is that pod's, whatever labels another one has.
async function machineFor(
  { allocator, pods, log }: CniContext,
  request: CniRequest,
  pod: Pod | undefined,
): Promise<Machine | undefined> {
  const machine = pod && machineOf(pod.metadata.labels, pod.metadata.annotations);
  if (!machine || !allocator.keepsMachines()) return undefined;
  const handleId = machineHandleOf(request, machine.name);
  const { namespace, pod: holder } = allocator.factsOf(handleId ?? '');
  if (!namespace || !holder || holder === pod.metadata.name) return machine;
  const other = await pods?.find(namespace, holder);
  if (!other || other.metadata.deletionTimestamp || isFinished(other)) return machine;
  log.warn({ machine: machine.name, holder }, 'another pod of the VM runs and keeps its address');
  return undefined;
}

// Whatever is sent to a floating address goes to the pod: it may name none that could be another's.
function strayAddress({ view }: CniContext, { floatingIps }: Wishes): CniError | undefined {
  const pools = view.pools.flatMap(({ spec }) => parseCidr(spec.cidr) ?? []);
  const stray = floatingIps.find((ip) => !pools.some((pool) => contains(pool, ip)));
  return stray && cniError('invalidConfig', `annotation ${FLOATING_IPS}: ${stray} lies in no pool`);
}

async function ask(
  { pods }: CniContext,
  request: CniRequest,
): Promise<Result<Pick<Owner, 'pod' | 'namespace'>, CniError>> {
  if (!request.pod || !request.config.kubernetesPolicy || !pods)
    return ok({ pod: undefined, namespace: undefined });
  const { namespace, name, uid } = request.pod;
  const found = await heard(async () => {
    const pod = await pods.find(namespace, name, uid);
    return pod && { pod, namespace: await pods.namespace(namespace) };
  });
  if (!found.ok) return found;
  return found.value
    ? ok(found.value)
    : fail(cniError('containerUnknown', `pod ${namespace}/${name} does not exist`));
}

/** What Kubernetes answers; the runtime tries again when it does not. */
async function heard<T>(ask: () => Promise<T>): Promise<Result<T, CniError>> {
  try {
    return ok(await ask());
  } catch (cause) {
    const msg = `the Kubernetes API cannot be asked about the pod: ${messageOf(cause)}`;
    return fail(cniError('tryAgain', msg));
  }
}
