// `calico-kit etcd certificates`: for all sides of calico-etcd.
import type { MemberPod } from '../../etcd/certificates/authority.ts';
import type { Place } from '../../etcd/certificates/ensure.io.ts';
import type { Node } from '../../kubernetes/api.ts';

interface Wanted {
  readonly addresses: readonly string[];
  /** Also the addresses of its nodes. */
  readonly controlPlane: true | undefined;
  readonly rotation: string;
  /** Another text than before asks for another authority. */
  readonly authority: string;
  readonly settleSeconds: number;
}

const ROLES = ['control-plane', 'master'];
const LOCAL = '127.0.0.1';
const NAMES = ['localhost', 'calico-etcd'];

/** The library is large, and loaded for this alone. */
export async function makeCertificates(place: Place, wanted: Wanted): Promise<void> {
  const { ensureCertificates } = await import('../../etcd/certificates/ensure.io.ts');
  const nodes = wanted.controlPlane ? await controlPlaneOf(place) : [];
  const addresses = [...new Set([LOCAL, ...wanted.addresses, ...nodes])];
  const { rotation, authority, settleSeconds } = wanted;
  await ensureCertificates(
    place,
    { addresses, names: NAMES, rotation },
    {
      rotation: authority,
      settleMilliseconds: settleSeconds * 1000,
      members: () => membersOf(place),
    },
  );
}

interface MemberList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status?: { readonly startTime?: string };
  }[];
}

async function membersOf({ objects, namespace }: Place): Promise<readonly MemberPod[]> {
  const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=k8s-app%3Dcalico-etcd`;
  const { items = [] } = (await objects.get<MemberList>(path)) ?? {};
  return items.map(({ metadata: { name }, status }) => ({
    name,
    startedAt: status?.startTime === undefined ? undefined : Date.parse(status.startTime),
  }));
}

async function controlPlaneOf({ objects }: Place): Promise<readonly string[]> {
  const list = await objects.get<{ readonly items: readonly Node[] }>('/api/v1/nodes');
  return (list?.items ?? [])
    .filter(({ metadata }) =>
      ROLES.some((role) => metadata.labels?.[`node-role.kubernetes.io/${role}`] !== undefined),
    )
    .flatMap(({ status }) => status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => address);
}
