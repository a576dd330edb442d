// The kernel port on Linux: netlink for links, addresses, routes and neighbours; /proc for sysctls.
import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import { OpError } from '../base/op-error.ts';
import type { Kernel, KernelEvent, Link, LinkChange, Refusal, Route, VethPair } from './kernel.ts';
import { errnoText, libc } from './libc.io.ts';
import { inNetns, openNetns } from './namespaces.io.ts';
import { decodeAddress, encodeDumpAddresses } from './netlink/address.ts';
import { describeChange, encodeChange } from './netlink/change.ts';
import {
  decodeLink,
  type Encoded,
  encodeDeleteLink,
  encodeDeleteLinkGroup,
  encodeDumpLinks,
  encodeGetLink,
  encodeVeth,
} from './netlink/link.ts';
import { decodeRoute, encodeDumpRoutes } from './netlink/route.ts';
import { podSysctlRoot } from './private-proc.io.ts';
import { applySlowly, openNetlink, Rtnetlink, type SlowReply } from './rtnetlink.io.ts';
import { GROUPS, subscribe } from './subscribe.io.ts';

const FAMILIES = [4, 6] as const;
const ENOENT = 2;
const ESRCH = 3;
const ENODEV = 19;
/** A route that is already gone, alone or with its device, is what a deletion asks for. */
const ROUTE_IS_GONE = [ESRCH, ENODEV];

/** Runs work in the namespace of a kernel; the home namespace needs no switch. */
type Within = <T>(work: () => T) => T;

/** Where sysctls of the network are: a container may have the writable ones elsewhere. */
const SYSCTL_ROOT = '/proc/sys/net';

/** The kernel of this process's own network namespace. */
export function openKernel(sysctlRoot = SYSCTL_ROOT): Kernel {
  return new LinuxKernel(
    (work) => work(),
    () => {},
    { common: sysctlRoot, elsewhere: false },
  );
}

/** The kernel as seen from inside the namespace at `path`. Throws OpError (ENOENT) if it is gone. */
export function openKernelAt(path: string, sysctlRoot = SYSCTL_ROOT): Kernel {
  const fd = openNetns(path);
  try {
    return new LinuxKernel(
      (work) => inNetns(fd, work),
      () => closeSync(fd),
      { common: sysctlRoot, elsewhere: true },
    );
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
}

interface Sysctls {
  readonly common: string;
  /** In another namespace than this process's own. */
  readonly elsewhere: boolean;
}

class LinuxKernel implements Kernel {
  private readonly within: Within;
  private readonly release: () => void;
  private readonly sysctls: Sysctls;
  private readonly netlink: Rtnetlink;
  /** Sockets for slow changes that none uses now. */
  private readonly idle: number[] = [];
  private closed = false;

  constructor(within: Within, release: () => void, sysctls: Sysctls) {
    this.sysctls = sysctls;
    this.within = within;
    this.release = release;
    this.netlink = new Rtnetlink(within(() => openNetlink()));
  }

  links() {
    return this.netlink.dump('list links', encodeDumpLinks, decodeLink);
  }

  link(name: string): Link | undefined {
    return this.netlink.ask(`get link ${name}`, encodeGetLink(name), decodeLink);
  }

  addresses() {
    return this.netlink.dump('list addresses', encodeDumpAddresses, decodeAddress);
  }

  routes(filter: Parameters<Kernel['routes']>[0] = {}): readonly Route[] {
    const families = filter.family ? [filter.family] : FAMILIES;
    const found = families.flatMap((family) =>
      this.netlink.dump('list routes', encodeDumpRoutes(family), decodeRoute),
    );
    return filter.protocol === undefined
      ? found
      : found.filter((route) => route.protocol === filter.protocol);
  }

  *routeParts(): Generator<readonly Route[]> {
    // A socket of its own: the shared one answers other questions in between.
    const netlink = new Rtnetlink(this.within(() => openNetlink()));
    try {
      for (const family of FAMILIES)
        yield* netlink.dumpParts('list routes', encodeDumpRoutes(family), decodeRoute);
    } finally {
      netlink.close();
    }
  }

  async addVeth(pair: VethPair): Promise<Link> {
    const what = `add veth ${pair.name}`;
    const peerNetnsFd = openNetns(pair.peerNetns);
    try {
      const make = encodeVeth({ ...pair, peerNetnsFd });
      const { errno, answer } = await this.slowly(make, encodeGetLink(pair.name));
      if (errno !== 0) throw new OpError(what, errnoText(errno), errno);
      const link = answer && decodeLink(answer);
      if (!link) throw new OpError(what, 'it vanished at once', ENODEV);
      return link;
    } finally {
      closeSync(peerNetnsFd);
    }
  }

  apply(changes: readonly LinkChange[]): void {
    const [refused] = this.applyEach(changes);
    if (refused) throw refused.error;
  }

  applyEach(changes: readonly LinkChange[]): readonly Refusal[] {
    return this.netlink.apply(
      changes.map((change) => ({
        what: describeChange(change),
        encode: encodeChange(change),
        ...(change.kind === 'deleteRoute' ? { tolerated: ROUTE_IS_GONE } : {}),
      })),
    );
  }

  async deleteLink(name: string): Promise<boolean> {
    return this.link(name) !== undefined && this.deleted(`link ${name}`, encodeDeleteLink(name));
  }

  async deleteLinkGroup(group: number): Promise<void> {
    await this.deleted(`links of group ${group}`, encodeDeleteLinkGroup(group));
  }

  private async deleted(what: string, encode: Encoded): Promise<boolean> {
    const { errno } = await this.slowly(encode);
    if (errno === ENODEV) return false;
    if (errno !== 0) throw new OpError(`delete ${what}`, errnoText(errno), errno);
    return true;
  }

  // One such change at a time on a socket; the sockets are kept.
  private async slowly(encode: Encoded, question?: Encoded): Promise<SlowReply> {
    const fd = this.idle.pop() ?? this.within(() => openNetlink());
    try {
      return await applySlowly(fd, encode, question);
    } finally {
      if (this.closed) libc.close(fd);
      else this.idle.push(fd);
    }
  }

  setSysctl(key: string, value: string): void {
    this.sysctl(key, (path) => writeFileSync(path, value));
  }

  getSysctl(key: string): string {
    return this.sysctl(key, (path) => readFileSync(path, 'utf8')).trim();
  }

  // The path resolves in the calling thread's namespace when it is opened.
  private sysctl<T>(key: string, work: (path: string) => T): T {
    const { common, elsewhere } = this.sysctls;
    try {
      const root = elsewhere ? podSysctlRoot(common) : common;
      return this.within(() => work(`${root}/${key}`));
    } catch (cause) {
      const errno = (cause as { errno?: number }).errno;
      throw new OpError(`sysctl ${key}`, cause, errno === undefined ? ENOENT : Math.abs(errno));
    }
  }

  subscribe(listener: (event: KernelEvent) => void, signal: AbortSignal): void {
    const open = (): number =>
      this.within(() => openNetlink({ groups: GROUPS, receiveBytes: 4 << 20 }));
    subscribe(open, listener, signal);
  }

  enter(netnsPath: string): Kernel {
    return openKernelAt(netnsPath, this.sysctls.common);
  }

  close(): void {
    this.closed = true;
    for (const fd of this.idle.splice(0)) libc.close(fd);
    this.netlink.close();
    this.release();
  }
}
