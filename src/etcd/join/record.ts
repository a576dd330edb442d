// Which nodes carry calico-etcd: a ConfigMap that all of them write by compare-and-swap, so that there
// is one datastore, whoever starts first, and a newcomer knows whom to ask.

export interface ClusterRecord {
  /** The snapshot that it all began from; empty: none. */
  readonly epoch: string;
  /** The node that began. */
  readonly founder: string;
  /** Whether it has: from now on a founder without data is one that has lost it. */
  readonly founded: boolean;
  /** Address by node. */
  readonly members: Readonly<Record<string, string>>;
}

export const RECORD = 'calico-etcd-members';
export const RECORD_KEY = 'cluster';

/** Of the ConfigMap's text. Throws when it is none. */
export function parseRecord(text: string): ClusterRecord {
  const { epoch, founder, founded, members } = JSON.parse(text) as Partial<ClusterRecord>;
  if (typeof founder !== 'string' || typeof members !== 'object')
    throw new Error(`ConfigMap ${RECORD}: no founder or no members in '${text}'`);
  return { epoch: epoch ?? '', founder, founded: founded === true, members };
}

export const withMember = (
  record: ClusterRecord,
  node: string,
  address: string,
): ClusterRecord => ({ ...record, members: { ...record.members, [node]: address } });

export function withoutAddress(record: ClusterRecord, address: string): ClusterRecord {
  const kept = Object.entries(record.members).filter(([, one]) => one !== address);
  return { ...record, members: Object.fromEntries(kept) };
}

export const printRecord = (record: ClusterRecord): string => JSON.stringify(record);
