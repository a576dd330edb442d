// The longest messages that a peer may send (4,096 octets, RFC 4271; 65,535 where both sides agree, RFC 8654)
// in the shapes that cost most: reading each (the least and the middle of some rounds, and processor time), and the
// longest step of telling it on to clients and to a peer of another AS.
import assert from 'node:assert/strict';
import { encodeAttributes } from '../../../src/bgp/codec/attributes.ts';
import { Listener } from '../../../src/bgp/table/listener.cases.ts';
import { tableOfNeighbours } from '../../../src/bgp/table/neighbour.cases.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { bytesOfIp, ip } from '../../../src/net/ip.ts';
import { median } from '../figures.ts';
import { threadCpuMs } from '../thread-cpu.ts';

/** Messages to one table, and how many tables hear them before it counts: a speaker is warm. */
const ROUNDS = 15;
const WARM_UPS = 4;
const HOP = ip('10.0.0.1');
const COMMON = encodeAttributes({ origin: 'igp', asPath: [], localPref: 100 }, HOP, true);
/** ORIGIN alone, and all behind AS_PATH. */
const [HEAD, TAIL] = [COMMON.slice(0, 4), COMMON.slice(7)];
const INSIDE = encodeAttributes({ origin: 'igp', asPath: [], localPref: 100 }, undefined, true);
const IPV6_HOP = bytesOfIp(ip('fd00::1'));
const PREFIX = [24, 192, 168, 1];

const u16 = (n: number): number[] => [n >> 8, n & 255];
const octets = (count: number): number[] =>
  Array.from({ length: count }, () => Math.floor(Math.random() * 255) + 1);
const times = (count: number, make: (i: number) => readonly number[]): number[] =>
  Array.from({ length: count }, (_, i) => make(i)).flat();
const long = (flags: number, type: number, value: readonly number[]): number[] => [
  flags | 16,
  type,
  ...u16(value.length),
  ...value,
];
const announce = (attributes: readonly number[], prefixes: readonly number[] = PREFIX) =>
  Uint8Array.from([0, 0, ...u16(attributes.length), ...attributes, ...prefixes]);
const announceIpv6 = (prefixes: readonly number[]) =>
  announce([...INSIDE, ...long(0x80, 14, [0, 2, 1, 16, ...IPV6_HOP, 0, ...prefixes])], []);

const SHAPES: Readonly<Record<string, () => Uint8Array>> = {
  communities: () => announce([...COMMON, ...long(0xc0, 8, octets(16_000 * 4))]),
  largeCommunities: () => announce([...COMMON, ...long(0xc0, 32, octets(5400 * 12))]),
  clusterList: () => announce([...COMMON, ...long(0x80, 10, octets(16_000 * 4))]),
  longPath: () =>
    announce([
      ...HEAD,
      ...long(
        0x40,
        2,
        times(63, () => [2, 255, ...octets(1020)]),
      ),
      ...TAIL,
    ]),
  pathOfSmallSets: () =>
    announce([
      ...HEAD,
      ...long(
        0x40,
        2,
        times(10_800, () => [1, 1, ...octets(4)]),
      ),
      ...TAIL,
    ]),
  unknownTwice: () => announce([...COMMON, ...times(21_000, () => [0xc0, 99, 0])]),
  hostsStandard: () =>
    announce(
      COMMON,
      times(800, () => [32, ...octets(4)]),
    ),
  hosts: () =>
    announce(
      COMMON,
      times(13_000, () => [32, ...octets(4)]),
    ),
  hostsKnown: () =>
    announce(
      [...COMMON, ...long(0xc0, 8, octets(4))],
      times(12_900, (i) => [32, ...u16(i >> 6), i & 63, 1]),
    ),
  hostsAddPath: () =>
    announce(
      COMMON,
      times(7200, () => [0, 0, 0, 1, 32, ...octets(4)]),
    ),
  hostsIpv6: () => announceIpv6(times(3800, () => [128, 0x20, 1, ...octets(14)])),
  networksIpv6: () => announceIpv6(times(7200, () => [64, 0x20, 1, ...octets(6)])),
  withdrawn: () => Uint8Array.from([...u16(64_000), ...times(32_000, (i) => [8, i & 255]), 0, 0]),
};

export function reportMessages(): void {
  Listener.prototype.hear = () => undefined;
  for (const [name, make] of Object.entries(SHAPES)) {
    const addPath = name === 'hostsAddPath';
    for (let i = 0; i < WARM_UPS; i++) measure(make, addPath);
    const rounds = measure(make, addPath);
    const least = (read: (round: Round) => number): string =>
      Math.min(...rounds.map(read)).toFixed(2);
    const words = [
      `read=${least((r) => r.readMs)}ms`,
      `median=${median(rounds.map((r) => r.readMs)).toFixed(2)}ms`,
      `cpu=${least((r) => r.readCpuMs)}ms`,
      `step=${least((r) => r.stepMs)}ms`,
    ];
    console.log(`bench bgp-message-${name} ours: ${words.join(' ')} goal read<=1ms`);
  }
}

interface Round {
  readonly readMs: number;
  readonly readCpuMs: number;
  /** The longest step of the work that the message makes. */
  readonly stepMs: number;
}

function measure(make: () => Uint8Array, addPath: boolean): readonly Round[] {
  const { table, up } = tableOfNeighbours();
  const agreed = { extendedMessage: true, families: [4, 6] } as const;
  up('1', { ...agreed, addPathReceive: addPath ? [4] : [] });
  up('2', agreed);
  up('3', agreed, { asn: 65001 as Asn, reflectorClient: false, clusterId: undefined });
  return Array.from({ length: ROUNDS }, () => {
    const message = make();
    const cpuBegan = threadCpuMs();
    const { milliseconds: readMs, value } = timed(() => table.receive('1', message));
    const readCpuMs = threadCpuMs() - cpuBegan;
    assert.equal(value.reset, undefined);
    let [stepMs, tick] = [0, 0];
    for (let busy = true; busy; ) {
      const { milliseconds, value } = timed(() => table.work(0, () => tick++));
      stepMs = Math.max(stepMs, milliseconds);
      busy = value === 'busy';
    }
    return { readMs, readCpuMs, stepMs };
  });
}

function timed<T>(what: () => T): { readonly milliseconds: number; readonly value: T } {
  const began = performance.now();
  const value = what();
  return { milliseconds: performance.now() - began, value };
}
