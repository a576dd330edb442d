// Writing records so that two nodes that start together agree: create if absent, else
// compare-and-swap, and read again after a conflict. Every step may be repeated.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { OpError } from '../../base/op-error.ts';
import type { KeyValue, Store } from '../../datastore/store.ts';
import { resourcePrefix } from '../../model/keys.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { API_VERSION, parseResource, printResource, type Resource } from '../../model/resource.ts';

const CONFLICTS_MAX = 20;

export interface RecordOptions<Spec> {
  readonly key: string;
  readonly kind: string;
  readonly name: string;
  /** The wanted spec from the stored one; undefined: leave it as it is, or do not create it. */
  readonly next: (stored: Spec | undefined) => Spec | undefined;
  /** Beside those that are there; undefined: gone. */
  readonly annotations?: Readonly<Record<string, string | undefined>>;
  /** Kinds that Calico stores with an empty status. */
  readonly withStatus?: boolean;
}

/** Makes the record what `next` says. Throws OpError when the datastore fails. */
export async function writeRecord<Spec extends object>(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  options: RecordOptions<Spec>,
): Promise<void> {
  const { key, kind } = options;
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
    const item = await store.get(key);
    const stored = item && parse<Spec>(kind, item);
    const spec = options.next(stored?.spec);
    if (spec === undefined) return;
    const made = stored ? { ...stored, spec } : created(options, spec, clock);
    const next = annotated(made, options.annotations);
    const value = printResource(next);
    if (stored && value === printResource(stored)) return;
    const outcome = await store.transaction(
      [{ key, revision: item?.revision ?? 0n }],
      [{ kind: 'put', key, value }],
    );
    if (outcome.kind === 'committed') return;
  }
  throw new OpError(`write ${key}`, `${CONFLICTS_MAX} conflicts with other writers`);
}

const annotated = <Spec>(
  record: Resource<string, Spec>,
  wanted: RecordOptions<Spec>['annotations'] = {},
): Resource<string, Spec> => {
  const { annotations, ...metadata } = record.metadata;
  const all = Object.fromEntries(
    Object.entries({ ...annotations, ...wanted }).flatMap(([name, text]) =>
      text === undefined ? [] : [[name, text]],
    ),
  );
  if (JSON.stringify(all) === JSON.stringify(annotations ?? {})) return record;
  const some = Object.keys(all).length > 0 ? { annotations: all } : {};
  return { ...record, metadata: { ...metadata, ...some } };
};

/** Puts a plain value if the key does not exist. */
export async function putIfAbsent(store: Store, key: string, value: string): Promise<void> {
  await store.transaction([{ key, revision: 0n }], [{ kind: 'put', key, value }]);
}

function parse<Spec>(kind: string, item: KeyValue): Resource<string, Spec> {
  const parsed = parseResource<string, Spec>(kind, item.value);
  if (!parsed.ok) throw new Error(`${item.key} cannot be read: ${parsed.error}; correct or delete`);
  return parsed.value;
}

// RFC 3339 with seconds, as Calico's own clients write it.
const created = <Spec>(
  { kind, name, withStatus }: RecordOptions<Spec>,
  spec: Spec,
  clock: Clock,
): Resource<string, Spec> => ({
  kind,
  apiVersion: API_VERSION,
  metadata: {
    name,
    uid: randomUUID(),
    creationTimestamp: clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z'),
  },
  spec,
  ...(withStatus && { status: {} }),
});

/** All nodes. A record that cannot be read belongs to somebody else's mistake and stops nobody's start. */
export async function readNodes(store: Store): Promise<readonly Node[]> {
  const { items } = await store.list(resourcePrefix('nodes'));
  return items.flatMap(({ value }) => {
    const node = parseResource<'Node', NodeSpec>('Node', value);
    return node.ok ? [node.value] : [];
  });
}
