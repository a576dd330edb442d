// What differs between two installations, object by object and field by field.
import { type Json, printJson } from '../../base/json.ts';
import { isObject } from '../../model/resource.ts';
import { NAMESPACE } from '../constructs/manifest.ts';
import type { Manifest } from '../manifests.ts';

export interface ObjectChange {
  /** `DaemonSet calico-node`. */
  readonly object: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** Of a changed object; empty otherwise. */
  readonly fields: readonly FieldChange[];
}

export interface FieldChange {
  /** `spec.template.spec.containers[calico-node].image`. */
  readonly path: string;
  /** Undefined: not there. */
  readonly before: Json | undefined;
  readonly after: Json | undefined;
}

export const nameOf = ({ kind, metadata: { name, namespace } }: Manifest): string =>
  namespace === undefined || namespace === NAMESPACE
    ? `${kind} ${name}`
    : `${kind} ${namespace}/${name}`;

/** In the order of the new installation; what is gone comes last. */
export function difference(
  before: readonly Manifest[],
  after: readonly Manifest[],
): readonly ObjectChange[] {
  const old = new Map(before.map((object) => [nameOf(object), object]));
  const current = new Set(after.map(nameOf));
  const changes = after.flatMap((object): readonly ObjectChange[] => {
    const was = old.get(nameOf(object));
    if (!was) return [{ object: nameOf(object), change: 'added', fields: [] }];
    const fields = fieldChanges(was as Json, object as Json, '');
    return fields.length === 0 ? [] : [{ object: nameOf(object), change: 'changed', fields }];
  });
  const gone = [...old.keys()].filter((name) => !current.has(name));
  return [
    ...changes,
    ...gone.map((object) => ({ object, change: 'removed' as const, fields: [] })),
  ];
}

/** Every leaf that differs; items of lists that have names are told apart by them. */
export function fieldChanges(
  before: Json | undefined,
  after: Json | undefined,
  path: string,
): readonly FieldChange[] {
  if (printJson(before ?? null) === printJson(after ?? null) && before !== undefined) return [];
  const [left, right] = [entriesOf(before), entriesOf(after)];
  if (!left || !right) return [{ path, before, after }];
  const keys = new Set([...left.keys(), ...right.keys()]);
  return [...keys].flatMap((key) => {
    const below = key.startsWith('[') ? `${path}${key}` : `${path}${path && '.'}${key}`;
    const [was, is] = [left.get(key), right.get(key)];
    if (was === undefined && is === undefined) return [];
    return fieldChanges(was, is, below);
  });
}

function entriesOf(value: Json | undefined): ReadonlyMap<string, Json> | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) {
    const names = value.map((item) => (isObject(item) ? item['name'] : undefined));
    const named =
      names.every((name) => typeof name === 'string') && new Set(names).size === names.length;
    return new Map(value.map((item, i) => [`[${named ? names[i] : i}]`, item]));
  }
  return isObject(value) ? new Map(Object.entries(value)) : undefined;
}
