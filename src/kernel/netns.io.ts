// The kernel port on Linux: netlink for links, addresses, routes and neighbours; /proc for sysctls.
import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import { OpError } from '../base/op-error.ts';
import { checksumOffload, setChecksumOffload } from './ethtool/ethtool.io.ts';
import type { Kernel, KernelEvent, Link, LinkChange, Refusal, Route, VethPair } from './kernel.ts';
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
import type { Message } from './netlink/message.ts';
import {
  decodeForwarding,
  decodeNeighbour,
  encodeDumpForwarding,
  encodeDumpNeighbours,
} from './netlink/neighbour.ts';
import { decodeRoute, encodeDumpRoutes } from './netlink/route.ts';
import { podSysctlRoot } from './private-proc.io.ts';
import { openNetlink, type Request, Rtnetlink } from './rtnetlink.io.ts';
import { Sockets } from './sockets.io.ts';
import { GROUPS, NEIGHBOUR_GROUP, Notifications } from './subscribe.io.ts';

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
  private readonly sockets: Sockets;
  private readonly news: Notifications;
  private readonly neighbourNews: Notifications;

  constructor(within: Within, release: () => void, sysctls: Sysctls) {
    this.sysctls = sysctls;
    this.within = within;
    this.release = release;
    this.sockets = new Sockets(() => within(() => openNetlink()));
    const newsOf = (groups: number) =>
      new Notifications(
        () => within(() => openNetlink({ groups, receiveBytes: 4 << 20 })),
        (port) => this.sockets.isOwn(port),
      );
    this.news = newsOf(GROUPS);
    this.neighbourNews = newsOf(GROUPS | NEIGHBOUR_GROUP);
  }

  links() {
    return this.dump('list links', encodeDumpLinks, decodeLink);
  }

  link(name: string): Link | undefined {
    const question = encodeGetLink(name);
    return this.sockets.now((socket) => socket.ask(`get link ${name}`, question, decodeLink));
  }

  addresses() {
    return this.dump('list addresses', encodeDumpAddresses, decodeAddress);
  }

  neighbours(linkIndex: number) {
    const all = FAMILIES.flatMap((family) =>
      this.dump('list neighbours', encodeDumpNeighbours(family, linkIndex), decodeNeighbour),
    );
    return all.filter((neighbour) => neighbour.linkIndex === linkIndex);
  }

  forwarding(linkIndex: number) {
    const dump = encodeDumpForwarding(linkIndex);
    const all = this.dump('list forwarding entries', dump, decodeForwarding);
    return all.filter((entry) => entry.linkIndex === linkIndex);
  }

  routes(filter: Parameters<Kernel['routes']>[0] = {}): readonly Route[] {
    const families = filter.family ? [filter.family] : FAMILIES;
    const found = families.flatMap((family) =>
      this.dump('list routes', encodeDumpRoutes(family), decodeRoute),
    );
    return filter.protocol === undefined
      ? found
      : found.filter((route) => route.protocol === filter.protocol);
  }

  private dump<T>(what: string, encode: Encoded, read: (message: Message) => T | undefined) {
    return this.sockets.now((socket) => socket.dump(what, encode, read));
  }

  *routeParts(): Generator<readonly Route[]> {
    // Not one of the kept sockets: others may stop to read half-way.
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
      const encode = encodeVeth({ ...pair, peerNetnsFd });
      const look: Request = { what, encode: encodeGetLink(pair.name), isQuestion: true };
      const { refused, answers } = await this.sockets.together([{ what, encode }, look]);
      if (refused[0]) throw refused[0].error;
      const answer = answers.get(1);
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
    return this.sockets.now((socket) => socket.apply(changes.map(requestOf)));
  }

  async applyAside(changes: readonly LinkChange[]): Promise<readonly Refusal[]> {
    if (changes.length === 0) return [];
    const { refused } = await this.sockets.together(changes.map(requestOf));
    return refused;
  }

  async deleteLink(name: string): Promise<boolean> {
    return this.link(name) !== undefined && this.deleted(`link ${name}`, encodeDeleteLink(name));
  }

  async deleteLinkGroup(group: number): Promise<void> {
    await this.deleted(`links of group ${group}`, encodeDeleteLinkGroup(group));
  }

  private async deleted(what: string, encode: Encoded): Promise<boolean> {
    const { refused } = await this.sockets.aside([{ what: `delete ${what}`, encode }]);
    if (refused[0] && refused[0].error.errno !== ENODEV) throw refused[0].error;
    return refused.length === 0;
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

  offloadsChecksums(link: string): boolean {
    return this.within(() => checksumOffload(link));
  }

  setChecksumOffload(link: string, on: boolean): void {
    this.within(() => setChecksumOffload(link, on));
  }

  subscribe(
    listener: (event: KernelEvent) => void,
    signal: AbortSignal,
    { neighbours = false, ownRoutes = true } = {},
  ): void {
    (neighbours ? this.neighbourNews : this.news).add(listener, signal, ownRoutes);
  }

  enter(netnsPath: string): Kernel {
    return openKernelAt(netnsPath, this.sysctls.common);
  }

  close(): void {
    this.sockets.close();
    this.release();
  }
}

const requestOf = (change: LinkChange): Request => ({
  what: describeChange(change),
  encode: encodeChange(change),
  ...(change.kind === 'deleteRoute' ? { tolerated: ROUTE_IS_GONE } : {}),
});
