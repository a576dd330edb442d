// Many BFD sessions in one process. As the device under test, as the speaker has them, on a thread of
// their own: sessions.ts device ADDRESS COUNT. As everybody else: sessions.ts peers ADDRESS COUNT, which
// answers each line of its input with a line: sessions that are Up, and those that were lost.
import { createInterface } from 'node:readline';
import { systemClock } from '../../../src/base/clock.io.ts';
import { openLog } from '../../../src/base/log.io.ts';
import { isFailure } from '../../../src/bfd/session.ts';
import { ip } from '../../../src/net/ip.ts';
import { BfdPeers } from '../../../src/speaker/bfd/bfd.io.ts';
import { BfdSessions } from '../../../src/speaker/bfd/sessions.io.ts';

export const INTERVAL_MS = 150;
export const MULTIPLIER = 3;
const TIMERS = { transmitMs: INTERVAL_MS, receiveMs: INTERVAL_MS, multiplier: MULTIPLIER };

export const peerAddress = (i: number): string => `10.98.1.${1 + i}`;

export interface PeersAnswer {
  readonly up: number;
  readonly lost: number;
}

const all = <T>(count: string, make: (address: string) => T): readonly T[] =>
  Array.from({ length: Number(count) }, (_, i) => make(peerAddress(i)));

function device(address: string, count: string): void {
  const bfd = new BfdPeers({ clock: systemClock, log: openLog('bfd', 'fatal') });
  const localAddress = ip(address);
  const path = { ...TIMERS, localAddress, multihop: false };
  bfd.set(all(count, (peer) => ({ ...path, key: peer, remoteAddress: ip(peer) })));
  // The thread does not keep the process.
  setInterval(() => undefined, 1 << 30);
}

function peers(address: string, count: string): void {
  const up = new Set<string>();
  let lost = 0;
  const sessions = new BfdSessions({
    clock: systemClock,
    random: Math.random,
    trouble: () => undefined,
    changed: (path, change) => {
      if (change.state === 'up') up.add(path);
      else up.delete(path);
      if (isFailure(change)) lost += 1;
    },
  });
  const path = { ...TIMERS, remoteAddress: ip(address), multihop: false };
  sessions.set(all(count, (peer) => ({ ...path, localAddress: ip(peer) })));
  createInterface({ input: process.stdin }).on('line', () => {
    const answer: PeersAnswer = { up: up.size, lost };
    console.log(JSON.stringify(answer));
  });
}

const [role, address = '', count = ''] = process.argv.slice(2);
if (role === 'device') device(address, count);
else if (role === 'peers') peers(address, count);
