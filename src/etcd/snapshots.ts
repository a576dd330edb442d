// Snapshots by name: when each was taken, and which are too many.

const NAME = /^calico-etcd-\d{8}T\d{6}Z\.db$/;

/** `calico-etcd-20270131T023000Z.db`; names sort by time. `time` in milliseconds since 1970. */
export const snapshotName = (time: number): string =>
  `calico-etcd-${new Date(time).toISOString().replace(/[-:]|\.\d+/g, '')}.db`;

/** The oldest ones beyond the newest `keep`; names that are not ours are left alone. */
export const tooMany = (names: readonly string[], keep: number): readonly string[] => {
  const ours = names.filter((name) => NAME.test(name)).toSorted();
  return ours.slice(0, Math.max(0, ours.length - keep));
};
