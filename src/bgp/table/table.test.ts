// The table against a model that derives everything anew, whatever happens in whatever order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Asn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import { ip, valueOfIp } from '../../net/ip.ts';
import { encodeAttributes, type PathAttributes } from '../codec/attributes.ts';
import { PEER_DEFAULTS } from '../peers.ts';
import { announcement, heard, Listener, withdrawal } from './listener.cases.ts';
import { accepted, choose, type Path, type ReferencePeer, words } from './reference.cases.ts';
import { Table } from './table.ts';

const ASN = 64512 as Asn;
const OWN = { asn: ASN, routerId: ip('10.0.0.100'), addresses: [ip('10.0.0.100')] };
const POOL = { cidr: cidr('192.168.0.0/16'), disabled: false, disableBgpExport: false };
const CLUSTER = ip('1.0.0.1');

const PEERS: readonly ReferencePeer[] = [
  ...[1, 2].map((n) => ({ n, more: {} })),
  ...[3, 4].map((n) => ({ n, more: { reflectorClient: true, clusterId: CLUSTER } })),
  { n: 5, more: { clusterId: CLUSTER } },
  ...[6, 7].map((n) => ({ n, more: { asn: (65000 + n) as Asn } })),
  { n: 8, more: { asn: 65008 as Asn, allowLocalAsns: 1 } },
  ...[9, 10].map((n) => ({
    n,
    more: { reflectorClient: true, clusterId: CLUSTER, addPath: true },
  })),
].map(({ n, more }) => ({
  address: ip(`10.0.0.${n}`),
  routerId: ip(`10.0.0.${20 - n}`),
  asn: ASN,
  localAsn: ASN,
  localAddress: ip('10.0.0.100'),
  reflectorClient: false,
  allowLocalAsns: 0,
  addPath: false,
  ...more,
}));
const PREFIXES = ['192.168.1.0/26', '192.168.2.0/24', '192.168.2.9/32', '172.16.0.0/12'].map(cidr);

const attributes: fc.Arbitrary<PathAttributes> = fc.record(
  {
    origin: fc.constantFrom('igp' as const, 'incomplete' as const),
    asPath: fc
      .array(fc.constantFrom(65001 as Asn, 65002 as Asn, ASN), { maxLength: 2 })
      .map((asns) => (asns.length > 0 ? [{ kind: 'sequence' as const, asns }] : [])),
    med: fc.nat(1),
    localPref: fc.constantFrom(100, 200),
    communities: fc.uniqueArray(
      fc.constantFrom(0xffffff01, 0xffffff02, 0xffff0000, 0xffff0006, 65536001),
      { minLength: 1, maxLength: 2 },
    ),
    originatorId: fc.constantFrom(ip('10.0.0.100'), ip('10.9.9.9')),
    clusterList: fc.constantFrom([Number(valueOfIp(CLUSTER))], [0x02020202]),
  },
  { requiredKeys: ['origin', 'asPath', 'localPref'] },
);
const peer = fc.nat(PEERS.length - 1);
const someOf = fc.subarray(PREFIXES, { minLength: 1 });

type Event =
  | {
      readonly kind: 'announce';
      readonly peer: number;
      readonly prefixes: typeof PREFIXES;
      readonly attributes: PathAttributes;
      readonly hop: number;
      readonly pathId: number;
    }
  | {
      readonly kind: 'withdraw';
      readonly peer: number;
      readonly prefixes: typeof PREFIXES;
      readonly pathId: number;
    }
  | { readonly kind: 'up' | 'down' | 'refresh' | 'client'; readonly peer: number }
  | { readonly kind: 'own'; readonly prefixes: typeof PREFIXES }
  | { readonly kind: 'pools'; readonly disabled: boolean; readonly quiet: boolean }
  | { readonly kind: 'shutdown'; readonly on: boolean }
  | { readonly kind: 'slow'; readonly peer: number; readonly slow: boolean }
  | { readonly kind: 'work'; readonly steps: number };
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('announce' as const),
      peer,
      prefixes: someOf,
      attributes,
      hop: fc.integer({ min: 1, max: 3 }),
      pathId: fc.nat(2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('withdraw' as const),
      peer,
      prefixes: someOf,
      pathId: fc.nat(2),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('up' as const, 'down' as const, 'refresh' as const, 'client' as const),
      peer,
    }),
  },
  fc.record({ kind: fc.constant('own' as const), prefixes: fc.subarray(PREFIXES) }),
  fc.record({ kind: fc.constant('pools' as const), disabled: fc.boolean(), quiet: fc.boolean() }),
  fc.record({ kind: fc.constant('shutdown' as const), on: fc.boolean() }),
  fc.record({ kind: fc.constant('slow' as const), peer, slow: fc.boolean() }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('work' as const), steps: fc.nat(8) }) },
);

const listenerOf = (p: ReferencePeer) =>
  new Listener({ addPath: p.addPath, external: p.asn !== p.localAsn });

/** The real table and what the model needs to know, side by side. */
function pair() {
  const listeners = PEERS.map((p) => listenerOf(p));
  const slow = new Set<number>();
  const numberOf = (key: string): number => Number(key);
  const table = new Table(
    {
      send: (keys, messages) => {
        for (const key of keys) listeners[numberOf(key)]!.hear(messages);
      },
      hasRoom: (key) => !slow.has(numberOf(key)),
    },
    OWN,
  );
  const peers = [...PEERS];
  const up = new Set<number>();
  const said = new Map<string, Path>();
  let own: readonly (typeof PREFIXES)[number][] = [];
  let pools = [POOL];
  let shutdown = false;
  table.setPools(pools);
  const policyOf = (n: number) => ({ ...PEER_DEFAULTS, ...peers[n]! });
  const run = (steps: number): void => {
    let ticks = 0;
    for (let i = 0; i < steps; i++) if (table.work(1, () => ticks++) !== 'busy') return;
  };
  const forget = (n: number): void => {
    for (const [key, path] of said) if (path.from.address === peers[n]!.address) said.delete(key);
  };
  const apply = (e: Event): void => {
    switch (e.kind) {
      case 'announce': {
        const from = peers[e.peer]!;
        if (!up.has(e.peer)) return;
        const external = from.asn !== from.localAsn;
        const { localPref, originatorId, clusterList, ...rest } = e.attributes;
        const sent = external ? rest : e.attributes;
        const seen = external ? rest : { ...rest, localPref, originatorId, clusterList };
        const nextHop = ip(`10.0.9.${e.hop}`);
        const pathId = from.addPath ? e.pathId : 0;
        const body = announcement(
          e.prefixes,
          encodeAttributes(sent, nextHop, true),
          from.addPath ? pathId : undefined,
        );
        assert.equal(table.receive(String(e.peer), body).reset, undefined);
        const clean = Object.fromEntries(
          Object.entries(seen).filter(([, v]) => v !== undefined),
        ) as unknown as PathAttributes;
        for (const prefix of e.prefixes) {
          const path = { prefix, nextHop, attributes: clean, from, pathId };
          said.set(`${from.address} ${prefix} ${pathId}`, path);
        }
        return;
      }
      case 'withdraw': {
        const from = peers[e.peer]!;
        if (!up.has(e.peer)) return;
        const pathId = from.addPath ? e.pathId : 0;
        table.receive(String(e.peer), withdrawal(e.prefixes, from.addPath ? pathId : undefined));
        for (const prefix of e.prefixes) said.delete(`${from.address} ${prefix} ${pathId}`);
        return;
      }
      case 'up': {
        if (up.has(e.peer)) return;
        up.add(e.peer);
        listeners[e.peer] = listenerOf(peers[e.peer]!);
        const { addPath, routerId, localAddress } = peers[e.peer]!;
        const addPaths = addPath ? ([4] as const) : [];
        table.peerUp(String(e.peer), policyOf(e.peer), localAddress, {
          families: [4],
          fourOctetAs: true,
          extendedMessage: false,
          extendedNextHop: false,
          addPathReceive: addPaths,
          addPathSend: addPaths,
          peerRouterId: routerId,
        });
        return;
      }
      case 'down':
        up.delete(e.peer);
        forget(e.peer);
        table.peerDown(String(e.peer), 'nothing', 0);
        return;
      case 'refresh':
        table.refresh(String(e.peer), 4, 'request', 0);
        return;
      case 'client': {
        const before = peers[e.peer]!;
        if (!before.clusterId) return;
        const after = { ...before, reflectorClient: !before.reflectorClient };
        peers[e.peer] = after;
        for (const [key, path] of said)
          if (path.from === before) said.set(key, { ...path, from: after });
        table.setPeer(String(e.peer), policyOf(e.peer));
        return;
      }
      case 'own':
        own = e.prefixes;
        table.setOwn(own.map((prefix) => ({ prefix, source: 'block' })));
        return;
      case 'pools':
        pools = [{ ...POOL, disabled: e.disabled, disableBgpExport: e.quiet }];
        table.setPools(pools);
        return;
      case 'shutdown':
        shutdown = e.on;
        table.setShutdown(e.on);
        return;
      case 'slow':
        if (e.slow) slow.add(e.peer);
        else slow.delete(e.peer);
        return;
      case 'work':
        run(e.steps);
    }
  };
  const compare = (): void => {
    slow.clear();
    run(100_000);
    const candidates = (prefix: (typeof PREFIXES)[number]): Path[] =>
      [...said.values()]
        .filter((path) => path.prefix === prefix)
        .flatMap((path) => accepted(OWN, path) ?? []);
    const learned = new Map([...table.learned()].map((l) => [l.prefix, l.nextHops]));
    for (const prefix of PREFIXES) {
      const { best, equal } = choose(candidates(prefix));
      const hops = own.includes(prefix) || !best ? undefined : new Set(equal.map((p) => p.nextHop));
      if (hops) assert.equal(learned.get(prefix)?.[0], best!.nextHop);
      assert.deepEqual(learned.get(prefix) && new Set(learned.get(prefix)), hops, prefix);
    }
    for (const n of up)
      assert.deepEqual(heard(listeners[n]!), expected(n, candidates), `peer ${n}`);
  };
  const expected = (n: number, candidates: (prefix: (typeof PREFIXES)[number]) => Path[]) => {
    const to = peers[n]!;
    const all = PREFIXES.flatMap((prefix) => {
      const paths = candidates(prefix);
      const { best } = choose(paths);
      const mine = own.includes(prefix) ? [{ prefix }] : [];
      const told = to.addPath ? [...mine, ...paths] : mine.length > 0 ? mine : best ? [best] : [];
      return told.flatMap((path) => {
        const text = words(to, path, pools, shutdown);
        return text === undefined ? [] : [`${prefix} ${text}`];
      });
    });
    return all.sort();
  };
  return { apply, compare, run };
}

test('whatever peers say, and however the work is cut: the table equals the model', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const { apply, compare } = pair();
      for (let n = 0; n < PEERS.length; n++) if (n % 3 !== 2) apply({ kind: 'up', peer: n });
      for (const e of events) apply(e);
      compare();
    }),
    { numRuns: 300 },
  );
});
