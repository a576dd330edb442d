// Members of the datastore, each asked for itself.
import { messageOf } from '../base/op-error.ts';
import type { EtcdMembers, Member, MemberStatus } from '../datastore/members.io.ts';

/** Opens the datastore, or one member of it. */
export type Open = (endpoints?: readonly string[]) => EtcdMembers;

/** A member, and what it says; or why it says nothing. */
export interface Seen {
  readonly member: Member;
  readonly status?: MemberStatus;
  readonly problem?: string;
}

/** All members. Throws when none can be asked. */
export async function seeMembers(open: Open): Promise<readonly Seen[]> {
  const members = await using(open, undefined, (all) => all.list(false));
  return Promise.all(
    members.map(async (member): Promise<Seen> => {
      if (member.clientUrls.length === 0) return { member, problem: 'it has not started yet' };
      try {
        const status = await using(open, member.clientUrls, (one) => one.status());
        return { member, status };
      } catch (cause) {
        return { member, problem: messageOf(cause) };
      }
    }),
  );
}

/** What a member gives back at most, in bytes. */
const wasted = ({ status }: Seen): number => (status ? status.bytes - status.bytesInUse : 0);

/** Who is put in order: followers first, the leader last; `bytesMin`: not for less. */
export const defragmentOrder = (seen: readonly Seen[], bytesMin: number): readonly Seen[] => {
  const leads = ({ member, status }: Seen): number => (status?.leader === member.id ? 1 : 0);
  return seen
    .filter((one) => one.status && wasted(one) >= bytesMin)
    .toSorted((a, b) => leads(a) - leads(b));
};

/**
 * One member after the other gives space back; it answers nobody meanwhile. Stops where one fails,
 * or where some cannot be asked: a further one that falls silent could be one too many.
 */
export async function defragment(
  open: Open,
  bytesMin: number,
  say: (words: string) => void,
): Promise<void> {
  const seen = await seeMembers(open);
  const silent = seen.find(({ problem }) => problem !== undefined);
  if (silent) throw new Error(`${nameOf(silent.member)}: ${silent.problem}; nothing is done`);
  const order = defragmentOrder(seen, bytesMin);
  if (order.length === 0) say('no member has enough to give back');
  for (const { member, status } of order) {
    const after = await using(open, member.clientUrls, async (one) => {
      await one.defragment();
      return one.status();
    });
    const [was, is] = [mebibytes(status?.bytes), mebibytes(after.bytes)];
    say(`${nameOf(member)}: ${was} MiB before, ${is} MiB now`);
  }
}

/** As people know it; one that has not started has no name. */
export const nameOf = ({ id, name }: Member): string => name || id.toString(16);

export const mebibytes = (bytes = 0): string => (bytes / (1 << 20)).toFixed(1);

export async function using<T>(
  open: Open,
  endpoints: readonly string[] | undefined,
  work: (members: EtcdMembers) => Promise<T>,
): Promise<T> {
  const members = open(endpoints);
  try {
    return await work(members);
  } finally {
    members.close();
  }
}
