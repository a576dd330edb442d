// A peer without manners, run as a process in a namespace: raw-peer.ts <mode> <from> <to> [seed].
// Prints the NOTIFICATION it was answered with, or `closed`.
import { connect, type Socket } from 'node:net';
import { encodeMessage, type Message, takeMessage } from '../../src/bgp/codec/message.ts';
import type { Open } from '../../src/bgp/codec/open.ts';
import type { Asn } from '../../src/net/asn.ts';
import { cidr } from '../../src/net/cidr.ts';
import { ip, parseIp } from '../../src/net/ip.ts';

const [mode, from, to, seed = '1'] = process.argv.slice(2) as [string, string, string, string?];
const WIDE = { fourOctetAs: true };

const open = (asn: number): Open => ({
  kind: 'open',
  version: 4,
  asn: asn as Asn,
  holdTimeSeconds: 3,
  routerId: parseIp(from) ?? ip('1.1.1.1'),
  capabilities: [
    { kind: 'multiprotocol', family: 4 },
    { kind: 'fourOctetAs', asn: asn as Asn },
  ],
});
const bytes = (...messages: Message[]): Buffer =>
  Buffer.concat(messages.map((message) => encodeMessage(message, WIDE)));
const UP = bytes(open(64512), { kind: 'keepalive' });
const UPDATE = bytes({
  kind: 'update',
  withdrawn: [cidr('192.168.9.0/26')],
  announced: [{ nextHop: ip(from), prefixes: [cidr('192.168.8.0/26'), cidr('192.168.7.0/26')] }],
  attributes: {
    origin: 'igp',
    asPath: [{ kind: 'sequence', asns: [65001 as Asn, 65002 as Asn] }],
    med: 1,
    localPref: 100,
    communities: [0x00010002],
    clusterList: [0x01020304],
  },
});

/** Connects, writes, and answers how it ended. */
function session(write: (socket: Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port: 179, localAddress: from });
    let [pending, end] = [Buffer.alloc(0), 'closed'];
    socket.on('connect', () => write(socket));
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const taken = takeMessage(pending);
        if (!taken.ok || !taken.value) return;
        if (taken.value[18] === 3) end = `${taken.value[19]}/${taken.value[20]}`;
        pending = pending.subarray(taken.value.length);
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(end));
  });
}

// A small generator, so that a seed tells the whole story.
let state = Number(seed);
function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

function mutant(): Buffer {
  const copy = Buffer.from(UPDATE);
  for (let i = 0; i <= below(4); i++) copy[19 + below(copy.length - 19)] = below(256);
  return copy;
}

const MODES: Record<string, () => Promise<string>> = {
  garbage: () => session((socket) => socket.write('GET / HTTP/1.1\r\nHost: calico\r\n\r\n')),
  wrongAs: () => session((socket) => socket.write(bytes(open(65000)))),
  silent: () => session((socket) => socket.write(Buffer.concat([UP, UPDATE.subarray(0, 30)]))),
  mutants: async () => {
    for (let round = 0; round < 100; round++) {
      const flood = Array.from({ length: 50 }, mutant);
      await session((socket) => socket.end(Buffer.concat([UP, ...flood])));
    }
    return 'done';
  },
};

console.log(await MODES[mode]!());
