// Whether others have changed legacy tables: the kernel does not count their transactions, but asking how
// many rules a table has, and where its chains begin, costs some microseconds. What stays as long as it
// was in every chain of the kernel and as a whole is not noticed; reading back now and then does.
import type { Family } from '../../net/ip.ts';
import { AF, libc, SOCK } from '../libc.io.ts';
import type { TableName } from '../tables.ts';

/** linux/netfilter_ipv4/ip_tables.h, struct ipt_getinfo: IPv6's is the same. */
const INFO_BYTES = 84;
const NAME_BYTES = 32;
const GET_INFO = 64;
const LEVEL = { 4: 0, 6: 41 } as const;
const IPPROTO_RAW = 255;

/** Of the tables of one family in a network namespace, shared by all who write to them. */
export class LegacyGeneration {
  private readonly family: Family;
  private readonly fd: number;
  private readonly tables = new Set<TableName>();
  private underWay = 0;
  private last: string | undefined;
  private foreign = 0;

  /** `within` switches to the namespace. */
  constructor(family: Family, within: <T>(work: () => T) => T) {
    this.family = family;
    const domain = family === 4 ? AF.INET : AF.INET6;
    this.fd = within(() => libc.socket(domain, SOCK.RAW | SOCK.CLOEXEC, IPPROTO_RAW));
  }

  /** A number that others' changes change; while a transaction of ours is under way, the last one. */
  now(): number | undefined {
    if (this.fd < 0) return undefined;
    if (this.underWay === 0) {
      const now = this.look();
      if (this.last !== undefined && now !== this.last) this.foreign++;
      this.last = now;
    }
    return this.foreign;
  }

  /** A transaction of ours: what it does is no change of others. */
  async counted(table: TableName, commit: () => Promise<void>): Promise<void> {
    this.now();
    this.underWay++;
    try {
      await commit();
      this.tables.add(table);
    } finally {
      this.underWay--;
      if (this.underWay === 0 && this.fd >= 0) this.last = this.look();
    }
  }

  // Tables that nobody has written to are not asked: asking would load them.
  private look(): string {
    const answers = [...this.tables].map((table) => {
      const info = Buffer.alloc(INFO_BYTES);
      info.write(table);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(INFO_BYTES);
      const failed = libc.getsockopt(this.fd, LEVEL[this.family], GET_INFO, info, length) < 0;
      return `${table} ${failed ? 'absent' : info.toString('hex', NAME_BYTES)}`;
    });
    return answers.join();
  }

  close(): void {
    if (this.fd >= 0) libc.close(this.fd);
  }
}

const KNOWN = new Map<string, { readonly generation: LegacyGeneration; users: number }>();

/** That of a namespace and family; to be given back by the function that comes with it. */
export function legacyGeneration(
  netnsPath: string | undefined,
  family: Family,
  within: <T>(work: () => T) => T,
): { readonly generation: LegacyGeneration; readonly release: () => void } {
  const key = `${family} ${netnsPath ?? ''}`;
  const known = KNOWN.get(key) ?? { generation: new LegacyGeneration(family, within), users: 0 };
  KNOWN.set(key, known);
  known.users++;
  const release = (): void => {
    if (--known.users > 0) return;
    KNOWN.delete(key);
    known.generation.close();
  };
  return { generation: known.generation, release };
}
