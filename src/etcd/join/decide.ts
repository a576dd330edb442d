// What a node does before its member starts: from all that it knows, the next step. Steps follow one
// another until the data of a member is there.
import type { Member } from '../../datastore/members.io.ts';
import { type ClusterRecord, RECORD, withMember } from './record.ts';

export interface View {
  readonly node: string;
  readonly address: string;
  /** Where the others reach this member. */
  readonly peerUrl: string;
  /** How many members there are to be. */
  readonly membersMax: number;
  /** The snapshot to begin anew from; empty: none. */
  readonly restore: string;
  /** Whether that file is on this node. */
  readonly hasSnapshot: boolean;
  /** Data of this node, and the snapshot that it began from. */
  readonly hasData: boolean;
  readonly epoch: string;
  readonly record: ClusterRecord | undefined;
  /** What a majority of the members says, without this one; undefined: none answers. */
  readonly members: readonly Member[] | undefined;
  /** For how long none has answered, in seconds. */
  readonly silentSeconds: number;
  /** For how long a node with this address has had no pod of calico-etcd, in seconds. */
  readonly absentSeconds: (address: string) => number;
}

export type Step =
  | { readonly do: 'start'; readonly why: string }
  | { readonly do: 'record'; readonly record: ClusterRecord; readonly why: string }
  | { readonly do: 'set-aside'; readonly why: string }
  | { readonly do: 'restore'; readonly why: string }
  | { readonly do: 'found'; readonly why: string }
  | { readonly do: 'remove'; readonly member: Member; readonly why: string }
  | {
      readonly do: 'set-peer-url';
      readonly member: Member;
      readonly url: string;
      readonly why: string;
    }
  | { readonly do: 'join'; readonly why: string }
  | { readonly do: 'promote'; readonly member: Member; readonly why: string }
  | { readonly do: 'wait'; readonly why: string }
  | { readonly do: 'refuse'; readonly why: string };

/** A pod that is made anew is gone for a moment: its member is not given up for that. */
const ABSENT_SECONDS = 30;
/** Members that start together all find the others silent. */
const SILENT_SECONDS = 30;

const hostOf = (url: string): string => url.replace(/^\w+:\/\//, '').replace(/:\d+\/?$/, '');
const isAt = (member: Member, address: string): boolean =>
  member.peerUrls.some((url) => hostOf(url) === address);

/** The next step. */
export function decide(view: View): Step {
  const { node, address, restore, record } = view;
  if (!record || (restore !== '' && record.epoch !== restore)) return begin(view);
  const former = record.members[node];
  const mine = view.members?.find(
    (member) => isAt(member, address) || (former !== undefined && isAt(member, former)),
  );
  if (view.hasData && view.epoch !== record.epoch)
    return { do: 'set-aside', why: `the datastore began anew from ${record.epoch || 'nothing'}` };
  if (view.hasData) return withData(view, record, mine);
  return withoutData(view, record, mine);
}

/** There is no datastore yet, or it is to begin anew. */
function begin(view: View): Step {
  const { node, address, restore } = view;
  if (restore !== '' && view.epoch !== restore && !view.hasSnapshot)
    return { do: 'wait', why: `for the node that has snapshot ${restore}` };
  const record = {
    epoch: restore || view.epoch,
    founder: node,
    founded: false,
    members: { [node]: address },
  };
  const why = restore === '' ? 'there is none' : `from snapshot ${restore}`;
  return { do: 'record', record, why: `this node begins the datastore: ${why}` };
}

function withData(view: View, record: ClusterRecord, mine: Member | undefined): Step {
  const { node, address, peerUrl, members } = view;
  if (members && !mine)
    return { do: 'set-aside', why: 'this node is no member any more: its data is of the past' };
  if (!members && !record.members[node] && view.silentSeconds < SILENT_SECONDS)
    return { do: 'wait', why: `for ${others(view, record)}, which may know this node` };
  if (mine && !mine.peerUrls.includes(peerUrl))
    return { do: 'set-peer-url', member: mine, url: peerUrl, why: 'its address is new' };
  // By its former address the others know it: that is kept until they have heard of the new one.
  const isUnknown = record.members[node] === undefined || isAlone(record, node);
  if (record.members[node] !== address && (mine || isUnknown))
    return { do: 'record', record: withMember(record, node, address), why: 'its address is new' };
  if (record.founder === node && !record.founded)
    return { do: 'record', record: { ...record, founded: true }, why: 'the datastore has begun' };
  if (mine?.isLearner) return { do: 'promote', member: mine, why: 'it has not copied all yet' };
  return { do: 'start', why: members ? 'it is a member' : 'it has been a member' };
}

function withoutData(view: View, record: ClusterRecord, mine: Member | undefined): Step {
  const { node, address, members } = view;
  if (record.founder === node && !record.founded)
    return record.epoch === ''
      ? { do: 'found', why: 'the first member' }
      : { do: 'restore', why: `from snapshot ${record.epoch}` };
  if (isAlone(record, node)) return { do: 'refuse', why: LOST };
  if (!members) return { do: 'wait', why: `for ${others(view, record)}` };
  if (mine) return { do: 'remove', member: mine, why: 'its data is gone' };
  return asNewcomer(view, record, members) ?? recorded(record, node, address);
}

const isAlone = (record: ClusterRecord, node: string): boolean =>
  Object.keys(record.members).every((name) => name === node);

function asNewcomer(
  view: View,
  record: ClusterRecord,
  members: readonly Member[],
): Step | undefined {
  for (const member of members) {
    const [url = ''] = member.peerUrls;
    if (view.absentSeconds(hostOf(url)) >= ABSENT_SECONDS)
      return { do: 'remove', member, why: 'its node has no pod of calico-etcd any more' };
    // It was a member before TLS, or at another port.
    const wanted = view.peerUrl.replace(hostOf(view.peerUrl), hostOf(url));
    const isKnown = Object.values(record.members).includes(hostOf(url));
    if (isKnown && url !== wanted)
      return { do: 'set-peer-url', member, url: wanted, why: 'others reach it there' };
  }
  if (members.length >= view.membersMax) {
    const nodes = members.map(({ peerUrls }) => hostOf(peerUrls[0] ?? '')).join(', ');
    return {
      do: 'wait',
      why:
        `this node is a spare: etcd.members is ${view.membersMax}, and ${nodes} have them. ` +
        'Set etcd.members higher, or choose nodes by pod.etcd.node_selector',
    };
  }
  if (members.some(({ isLearner }) => isLearner))
    return { do: 'wait', why: 'for another node that joins right now' };
  return undefined;
}

const recorded = (record: ClusterRecord, node: string, address: string): Step =>
  record.members[node] === address
    ? { do: 'join', why: 'a new member' }
    : { do: 'record', record: withMember(record, node, address), why: 'a new member' };

const others = ({ node }: View, record: ClusterRecord): string =>
  Object.entries(record.members)
    .filter(([name]) => name !== node)
    .map(([name, address]) => `${name} (${address})`)
    .join(', ');

const LOST =
  'the only member was on this node, and its data is gone. Bring a snapshot back (etcd.restore), or ' +
  `begin with nothing: kubectl -n kube-system delete configmap ${RECORD}`;
