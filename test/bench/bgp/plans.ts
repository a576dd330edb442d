// Who announces what to the device under test, and who awaits it.
import type { DevicePlan } from './devices.ts';

const DEVICE = '10.99.0.1';
const AS = 64512;

type Peer = DevicePlan['peers'][0];

/** Each peer announces so many prefixes of its own, and hears all the others'. */
export function plan(peers: number, each: number, more: Partial<DevicePlan> = {}): DevicePlan {
  const reflector = more.reflector ?? false;
  return {
    device: DEVICE,
    deviceAsn: AS,
    holdTimeSeconds: 90,
    reflector,
    peers: Array.from({ length: peers }, (_, i) => ({
      address: `10.99.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`,
      asn: reflector ? AS : 65000 + i,
      first: i * each,
      count: each,
      awaits: (peers - 1) * each,
    })),
    ...more,
  };
}

/** One peer announces, the other listens. */
export function oneWay(count: number): DevicePlan {
  const [from, to] = plan(2, count).peers as [Peer, Peer];
  return {
    ...plan(2, count),
    peers: [
      { ...from, awaits: 0 },
      { ...to, first: 0, count: 0 },
    ],
  };
}

/** A member of a mesh: hears the others' blocks, and tells none of them on. */
export function mesh(peers: number, each: number): DevicePlan {
  const all = plan(peers, each).peers.map((peer) => ({ ...peer, asn: AS, awaits: 0 }));
  // One peer of another AS shows when the last block has arrived.
  const [first, ...rest] = all;
  return {
    ...plan(peers, each),
    peers: [{ ...first!, asn: 65000, count: 0, awaits: (peers - 1) * each }, ...rest],
  };
}

/** A flood that one of two listeners does not read. */
export function deafness(count: number): DevicePlan {
  const [from, to, deaf, other] = plan(4, count).peers as [Peer, Peer, Peer, Peer];
  const listener = { first: 0, count: 0, awaits: count };
  return {
    ...plan(4, count, { holdTimeSeconds: 3 }),
    peers: [
      { ...from, asn: AS, awaits: 0 },
      { ...to, ...listener },
      { ...deaf, ...listener, deaf: true },
      { ...other, asn: AS, first: 0, count: 0, awaits: 0 },
    ],
  };
}

/**
 * A flood over one session while two others watch: one that hears all of it, and one of our AS,
 * which hears nothing but keepalives.
 */
export function flood(count: number): DevicePlan {
  const [from, to, other] = plan(3, count).peers as [Peer, Peer, Peer];
  return {
    ...plan(3, count, { holdTimeSeconds: 3 }),
    peers: [
      { ...from, asn: AS, awaits: 0 },
      { ...to, first: 0, count: 0, awaits: count },
      { ...other, asn: AS, first: 0, count: 0, awaits: 0 },
    ],
  };
}
