// `calico-kit etcd certificates`: for all sides of calico-etcd.
import type { Place } from '../../etcd/certificates/ensure.io.ts';
import type { Node } from '../../kubernetes/api.ts';

interface Wanted {
  readonly addresses: readonly string[];
  /** Also the addresses of its nodes. */
  readonly controlPlane: true | undefined;
  readonly rotation: string;
}

const ROLES = ['control-plane', 'master'];
const LOCAL = '127.0.0.1';
const NAMES = ['localhost', 'calico-etcd'];

/** The library is large, and loaded for this alone. */
export async function makeCertificates(place: Place, wanted: Wanted): Promise<void> {
  const { ensureCertificates } = await import('../../etcd/certificates/ensure.io.ts');
  const nodes = wanted.controlPlane ? await controlPlaneOf(place) : [];
  const addresses = [...new Set([LOCAL, ...wanted.addresses, ...nodes])];
  await ensureCertificates(place, { addresses, names: NAMES, rotation: wanted.rotation });
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
