// The text of `ipset save`: create lines with their options, add lines with a member.
import { parseIp } from '../../net/ip.ts';
import type { IpSet, IpSetChange, IpSetMeta } from '../tables.ts';

const TYPES = ['hash:net', 'hash:ip', 'hash:ip,port'] as const;

/** Sets of the kinds that we use, in the order of the text. */
export function parseIpSets(text: string): readonly IpSet[] {
  const reader = new SaveReader('');
  reader.take(text);
  return reader.end();
}

/** Reads the text piece by piece: a whole one of 250,000 members would hold up everything else. */
export class SaveReader {
  private readonly prefix: string;
  private readonly sets = new Map<string, IpSetMeta & { members: Set<string> }>();
  private rest = '';

  /** Of the sets whose name begins so. */
  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** The next piece; it may end inside a line. */
  take(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.line(line);
  }

  /** What was read, after the last piece. */
  end(): readonly IpSet[] {
    this.line(this.rest);
    this.rest = '';
    return [...this.sets.values()];
  }

  private line(line: string): void {
    if (!line.startsWith(this.prefix, line.indexOf(' ') + 1)) return;
    const [verb, name = '', third = '', ...options] = line.split(' ');
    const type = TYPES.find((known) => known === third);
    if (verb === 'create' && type) {
      this.sets.set(name, {
        name,
        type,
        family: option(options, 'family') === 'inet6' ? 'inet6' : 'inet',
        maxElements: Number(option(options, 'maxelem') ?? 65536),
        members: new Set(),
      });
    } else if (verb === 'add') this.sets.get(name)?.members.add(canonical(third));
  }
}

// `ipset` prints the IPv4 addresses inside IPv6 ones with dots (RFC 5952, section 5); our canonical
// text has none, and a member must read as it was written.
function canonical(member: string): string {
  const mixed = /^([0-9a-f:]*:\d+\.\d+\.\d+\.\d+)(.*)$/.exec(member);
  return mixed ? (parseIp(mixed[1]!) ?? mixed[1]) + mixed[2]! : member;
}

function option(options: readonly string[], name: string): string | undefined {
  const at = options.indexOf(name);
  return at < 0 ? undefined : options[at + 1];
}

/** A change as a restore line. */
export function printIpSetChange(change: IpSetChange): string {
  switch (change.kind) {
    case 'create': {
      const { name, type, family, maxElements } = change.set;
      return `create ${name} ${type} family ${family} maxelem ${maxElements}`;
    }
    case 'add':
      return `add ${change.name} ${change.member}`;
    case 'delete':
      return `del ${change.name} ${change.member}`;
    case 'swap':
      return `swap ${change.name} ${change.other}`;
    case 'destroy':
      return `destroy ${change.name}`;
  }
}
