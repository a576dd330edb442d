// Desired state -> difference -> changes. Routes, sets and chains are all reconciled by this one
// comparison, so that nothing that is already right is written again.

/** What must happen so that `actual` becomes `desired`. */
export interface Delta<K, V> {
  readonly put: readonly (readonly [K, V])[];
  readonly remove: readonly (readonly [K, V])[];
}

/** Compares two maps; `same` decides whether an entry may stay as it is. Order: that of the maps. */
export function delta<K, V>(
  actual: ReadonlyMap<K, V>,
  desired: ReadonlyMap<K, V>,
  same: (a: V, b: V) => boolean,
): Delta<K, V> {
  const put: [K, V][] = [];
  const remove: [K, V][] = [];
  for (const [key, value] of desired) {
    const present = actual.get(key);
    if (present === undefined || !same(present, value)) put.push([key, value]);
  }
  for (const [key, value] of actual) if (!desired.has(key)) remove.push([key, value]);
  return { put, remove };
}
