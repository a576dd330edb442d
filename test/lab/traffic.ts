// Packets between namespaces of a lab, and how many arrive.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { attempt, eventually, run } from './command.ts';

const LISTEN = `
  let received = 0;
  require('net').createServer((socket) => {
    socket.on('data', (chunk) => (received += chunk.length));
    socket.on('end', () => { console.log(received); process.exit(); });
  }).listen(9000, '0.0.0.0', () => console.log('listens'));`;
const SEND = `
  const [ip, bytes] = process.argv.slice(-2);
  const socket = require('net').connect(9000, ip, () => socket.end(Buffer.alloc(Number(bytes))));`;

/** Bytes through TCP from one namespace to an address that another listens on; answers how many came. */
export async function sendBytes(
  from: string,
  to: { readonly netns: string; readonly ip: string },
  bytes: number,
): Promise<number> {
  const node = (netns: string, script: string, ...more: readonly string[]): ChildProcess =>
    spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', script, '--', ...more], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const receiver = node(to.netns, LISTEN);
  let said = '';
  receiver.stdout!.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  await eventually('somebody listens', () => said.includes('listens'));
  const sender = node(from, SEND, to.ip, String(bytes));
  await Promise.all([once(receiver, 'close'), once(sender, 'close')]);
  return Number(said.trim().split('\n').at(-1));
}

const PING_MILLISECONDS = 20;

/** Echo requests from a pod to an address, one every 20 ms, until it is stopped. */
export class Pinging {
  private readonly child: ChildProcess;
  private said = '';

  constructor(netns: string, ip: string) {
    const ping = ['ping', '-n', '-i', '0.02', '-W', '1', ip];
    this.child = spawn('ip', ['netns', 'exec', netns, ...ping], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.said += chunk;
    });
  }

  /** Answers so far. */
  get count(): number {
    return this.said.split(' bytes from ').length - 1;
  }

  /** The longest time without an answer, milliseconds. */
  async stop(): Promise<number> {
    const { sent, heard } = await this.end();
    const gaps = [...heard.slice(1), sent + 1].map((number, i) => number - heard[i]! - 1);
    return Math.max(heard[0]! - 1, ...gaps) * PING_MILLISECONDS;
  }

  /**
   * How many were not answered up to an answer that comes after the call: what was sent later may
   * be under way still.
   */
  async lost(): Promise<number> {
    const before = this.count;
    await eventually('an answer comes', () => this.count > before);
    const { heard } = await this.end();
    return Math.max(...heard) - new Set(heard).size;
  }

  private async end(): Promise<{ readonly sent: number; readonly heard: readonly number[] }> {
    this.child.kill('SIGINT');
    await once(this.child, 'close');
    const heard = [...this.said.matchAll(/icmp_seq=(\d+)/g)].map(([, number]) => Number(number));
    assert.ok(heard.length > 0, `nobody answered: ${this.said}`);
    const sent = Number(/(\d+) packets transmitted/.exec(this.said)?.[1]);
    return { sent, heard };
  }
}

/** How many echo requests have arrived in a namespace. */
export function echoesOf(netns: string): number {
  const shown = run(['ip', 'netns', 'exec', netns, 'cat', '/proc/net/snmp']);
  const [names, counts] = [...shown.matchAll(/^Icmp: (.*)$/gm)].map(([, line]) => line!.split(' '));
  return Number(counts![names!.indexOf('InEchos')]);
}

/** How many octets the interface of a namespace has received: packets may come as one large. */
export const receivedBy = (netns: string, link = 'eth0'): number =>
  Number(run(['ip', 'netns', 'exec', netns, 'cat', `/sys/class/net/${link}/statistics/rx_bytes`]));

export const tried = (netns: string, ...argv: readonly string[]): boolean =>
  attempt(['ip', 'netns', 'exec', netns, ...argv]).ok;
