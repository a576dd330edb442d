// `calico-kit etcd status`: every member of the datastore.
import { mebibytes, nameOf, type Seen } from '../../etcd/members.io.ts';
import { boxTable, type Output } from '../output.ts';

const HEADINGS = ['MEMBER', 'ADDRESS', 'ROLE', 'VERSION', 'MIB', 'IN USE', 'REVISION', 'TERM'];

/** Fails when a member says nothing, or that something is wrong, or when none leads. */
export function status(seen: readonly Seen[]): Output {
  const problems = seen.flatMap(({ member, status: said, problem }) =>
    (problem === undefined ? (said?.errors ?? []) : [problem]).map(
      (words) => `${nameOf(member)}: ${words}`,
    ),
  );
  const table = boxTable(HEADINGS, seen.map(rowOf), ['MIB', 'IN USE', 'REVISION', 'TERM']);
  return {
    lines: [...table, ...problems],
    data: seen.map(({ member, status: said, problem }) => ({
      id: member.id.toString(16),
      name: member.name,
      peerUrls: member.peerUrls,
      clientUrls: member.clientUrls,
      role: roleOf({ member, ...(said && { status: said }) }),
      ...(said && {
        version: said.version,
        bytes: said.bytes,
        bytesInUse: said.bytesInUse,
        revision: said.revision,
        raftTerm: said.raftTerm,
        raftIndex: said.raftIndex,
        errors: said.errors,
      }),
      ...(problem !== undefined && { problem }),
    })),
    failed: problems.length > 0,
  };
}

function rowOf(seen: Seen): readonly string[] {
  const { member, status: said } = seen;
  return [
    nameOf(member),
    member.clientUrls.join(',') || member.peerUrls.join(','),
    roleOf(seen),
    said?.version ?? '',
    said ? mebibytes(said.bytes) : '',
    said ? mebibytes(said.bytesInUse) : '',
    said ? String(said.revision) : '',
    said ? String(said.raftTerm) : '',
  ];
}

function roleOf({ member, status: said }: Seen): string {
  if (member.isLearner) return 'learner';
  if (!said) return 'silent';
  return said.leader === member.id ? 'leader' : 'follower';
}
