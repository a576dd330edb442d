// A table with a few iBGP peers whose ears are kept, for tests of their comings and goings.
import type { Asn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { ip } from '../../net/ip.ts';
import { encodeAttributes, type PathAttributes } from '../codec/attributes.ts';
import { encodeUpdate, endOfRib } from '../codec/update.ts';
import { PEER_DEFAULTS } from '../peers.ts';
import { announcement, Listener } from './listener.cases.ts';
import type { Agreed, PeerPolicy } from './peer.ts';
import type { Received } from './receive.ts';
import type { Kept } from './stale.ts';
import { type LearnedPrefix, Table } from './table.ts';

const ASN = 64512 as Asn;
const US = ip('10.0.0.100');
export const OWN_BLOCK = cidr('192.168.99.0/26');

/** A peer that restarts gracefully. */
export const GRACEFUL = {
  restartSeconds: 120,
  families: [{ family: 4, forwardingPreserved: true }],
} as const satisfies Agreed['gracefulRestart'];

const addressOf = (key: string) => ip(`10.0.0.${key}`);

/** Peers are called `1` to `99`; each is a client of ours. */
export function tableOfNeighbours() {
  const ears = new Map<string, Listener>();
  const routes = new Map<string, readonly string[]>();
  const slow = new Set<string>();
  const clock = { now: 0 };
  const interfaces = new Map<string, string>();
  const lost = new Set<string>();
  const table = new Table(
    {
      send: (keys, messages) => {
        for (const key of keys) ears.get(key)?.hear(messages);
      },
      hasRoom: (key) => !slow.has(key),
      interfaceTo: (nextHop) => interfaces.get(nextHop),
      hasWay: (nextHop) => !lost.has(nextHop),
      best: (changes: readonly LearnedPrefix[]) => {
        for (const { prefix, nextHops } of changes)
          if (nextHops.length > 0) routes.set(prefix, nextHops);
          else routes.delete(prefix);
      },
    },
    { asn: ASN, routerId: US, addresses: [US] },
  );
  table.setOwn([{ prefix: OWN_BLOCK, source: 'block' }]);
  table.setPools([{ cidr: cidr('192.168.0.0/16'), disabled: false, disableBgpExport: false }]);
  const work = (): void => {
    for (let i = 0; i < 100_000; i++) if (table.work(1, () => clock.now) !== 'busy') return;
  };
  const policyOf = (key: string, more: Partial<PeerPolicy>): PeerPolicy => ({
    ...PEER_DEFAULTS,
    ...{ address: addressOf(key), asn: ASN, localAsn: ASN },
    ...{ reflectorClient: true, clusterId: ip('1.0.0.1') },
    ...more,
  });
  /** Without any work yet. */
  const join = (
    key: string,
    more: Partial<Agreed> = {},
    policy: Partial<PeerPolicy> = {},
  ): Listener => {
    const ear = new Listener({ addPath: false, external: policy.asn !== undefined });
    ears.set(key, ear);
    table.peerUp(key, policyOf(key, policy), US, {
      families: [4],
      ...{ fourOctetAs: true, extendedMessage: false, extendedNextHop: false },
      ...{ addPathReceive: [], addPathSend: [], peerRouterId: addressOf(key) },
      ...more,
    });
    return ear;
  };
  const up = (
    key: string,
    more: Partial<Agreed> = {},
    policy: Partial<PeerPolicy> = {},
  ): Listener => {
    const ear = join(key, more, policy);
    work();
    return ear;
  };
  /** The peer tells of prefixes with these attributes beside the usual ones. */
  const tell = (key: string, more: Partial<PathAttributes>, ...prefixes: string[]): Received =>
    tellVia(key, addressOf(key), more, ...prefixes);
  const tellVia = (
    key: string,
    nextHop: Ip,
    more: Partial<PathAttributes>,
    ...prefixes: string[]
  ): Received => {
    const attributes = { origin: 'igp' as const, asPath: [], ...more };
    const words = encodeAttributes(attributes, nextHop, true);
    const received = table.receive(key, announcement(prefixes.map(cidr), words));
    work();
    return received;
  };
  return {
    ...{ table, clock, slow, interfaces, lost, join, up, work },
    down: (key: string, keeps: Kept = 'all'): void => {
      table.peerDown(key, keeps, clock.now);
      work();
    },
    tell,
    tellVia,
    say: (key: string, ...prefixes: string[]): void => {
      tell(key, { localPref: 100 }, ...prefixes);
    },
    sayEnd: (key: string, family: Family = 4): void => {
      table.receive(key, encodeUpdate(endOfRib(family), true));
      work();
    },
    refresh: (key: string, kind: 'request' | 'begin' | 'end'): void => {
      table.refresh(key, 4, kind, clock.now);
      work();
    },
    hops: (prefix: string): readonly string[] => routes.get(prefix) ?? [],
    /** Prefixes with a way by peers. */
    learned: (): string => [...routes.keys()].toSorted().join(' '),
  };
}
