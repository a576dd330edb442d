// Resources that the settings hold, kept in the datastore; what leaves the settings is removed
// there too, and nothing that somebody else made.
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { parseResource } from '../../model/resource.ts';
import type { Controller } from '../controller.ts';
import { type ControllerParts, openReconciler } from '../reconcile.io.ts';
import type { Wanted } from '../wanted.ts';
import { type DocumentWanted, OWNER } from './documents.ts';

/** Keeps the resources of `wanted`. Its problem is what the settings hold and nobody can use. */
export function documentController(
  parts: ControllerParts,
  { resources, problems }: DocumentWanted,
): Controller {
  const { mirror, log } = parts;
  for (const problem of problems) log.error({ problem }, 'a setting is left out');
  const wanted = new Set(resources.map(({ key }) => key));
  const isOurs = (key: string): boolean => wanted.has(key) || isOwned(mirror.get(key)?.value);
  const reconciler = openReconciler(parts, isOurs);
  // Addresses of a pool may be in use: it is emptied by its owner, and given no more meanwhile.
  const left = (): readonly Wanted[] =>
    mirror.keys().flatMap((key) => {
      const pool = wanted.has(key) ? undefined : parsePool(mirror.get(key)?.value);
      if (!pool) return [];
      const { metadata, spec } = pool;
      return [{ key, kind: 'IPPool', metadata, spec: { ...spec, disabled: true } }];
    });
  // Blocks are cut from a pool as it was made: its prefix and their size never change under pods.
  const kept = new Set<string>();
  const asMade = (resource: Wanted): Wanted => {
    const made = resource.kind === 'IPPool' ? poolIn(mirror.get(resource.key)?.value) : undefined;
    const { cidr, blockSize } = resource.spec as IpPoolSpec;
    if (!made || (made.spec.cidr === cidr && made.spec.blockSize === blockSize)) return resource;
    const { name } = resource.metadata;
    kept.add(
      `pool ${name} keeps ${made.spec.cidr}: make another pool, disable this one, move the pods`,
    );
    const { blockSize: _other, ...spec } = resource.spec as IpPoolSpec;
    const size = made.spec.blockSize === undefined ? {} : { blockSize: made.spec.blockSize };
    return { ...resource, spec: { ...spec, cidr: made.spec.cidr, ...size } };
  };
  mirror.onSnapshot(() => {
    const pools = left();
    kept.clear();
    const all = resources.map(asMade);
    for (const problem of kept) log.error({ problem }, 'a setting is left out');
    for (const { metadata } of pools)
      log.warn(
        { pool: metadata.name },
        'a pool left the settings: it is disabled; delete it when no pod has an address of it',
      );
    reconciler.replace([...all, ...pools]);
  });
  return {
    get problem() {
      const all = [...problems, ...kept];
      return all.length > 0 ? all.join('; ') : undefined;
    },
    get failing() {
      return reconciler.failing;
    },
  };
}

const owns = ({ annotations }: { annotations?: Readonly<Record<string, string>> }): boolean =>
  annotations?.[OWNER.name] === OWNER.value;

function isOwned(text: string | undefined): boolean {
  if (!text?.includes(OWNER.name)) return false;
  const { metadata } = JSON.parse(text) as { metadata?: object };
  return owns(metadata ?? {});
}

const parsePool = (text: string | undefined): IpPool | undefined =>
  isOwned(text) ? poolIn(text) : undefined;

function poolIn(text: string | undefined): IpPool | undefined {
  const parsed = parseResource<'IPPool', IpPoolSpec>('IPPool', text ?? '');
  return parsed.ok ? parsed.value : undefined;
}
