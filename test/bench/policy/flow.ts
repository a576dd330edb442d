// Two pods with links and a stream of datagrams from one to the other; tells when the verdict flips.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from '../../lab/command.ts';
import { createNetns, type TestNetns } from '../../lab/netns.ts';
import { NODE, type StoredPod } from './stored.ts';

const STREAM = join(import.meta.dirname, 'stream.ts');
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
/** So long without an arrival: nothing gets through. */
const SILENCE_MILLISECONDS = 100;
const FLIP_MILLISECONDS_MAX = 60_000;

export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

export interface WiredPod extends StoredPod {
  readonly netns: TestNetns;
}

/** A pod with a link of its own; this process is in the node's namespace, which is called `node`. */
export function wirePod(node: string, name: string, address: string, app: string): WiredPod {
  const netns = createNetns(`${node}-${name}`);
  const device = `cali${name}`;
  const inside = (...argv: string[]): string => run(['ip', '-n', netns.name, ...argv]);
  run([
    ...['ip', 'link', 'add', device, 'type', 'veth'],
    ...['peer', 'name', 'eth0', 'netns', netns.name],
  ]);
  run(['ip', 'link', 'set', device, 'address', GATEWAY_MAC, 'up']);
  run(['ip', 'route', 'add', address, 'dev', device, 'scope', 'link']);
  inside('address', 'add', `${address}/32`, 'dev', 'eth0');
  inside('link', 'set', 'eth0', 'up');
  inside('route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link');
  inside('route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0');
  inside('neigh', 'add', '169.254.1.1', 'dev', 'eth0', 'lladdr', GATEWAY_MAC);
  return { node: NODE, name, address, labels: { app }, interfaceName: device, netns };
}

/** Links of pods that nobody sends to or from: the agent would sweep endpoints without one. */
export function wireLocalPods(count: number): void {
  const lines = Array.from(
    { length: count },
    (_, n) => `link add calil${n} type veth peer name peer${n}\n`,
  );
  run(['ip', '-batch', '-'], lines.join(''));
}

export class Flow {
  private readonly children: readonly ChildProcess[];
  private lastArrival = 0;
  private lastSent = 0;
  private onArrival: () => void = () => {};

  constructor(from: WiredPod, to: WiredPod) {
    const start = (pod: WiredPod, ...args: string[]): ChildProcess =>
      spawn('ip', ['netns', 'exec', pod.netns.name, process.execPath, STREAM, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const receiver = start(to, 'receive');
    createInterface({ input: receiver.stdout! }).on('line', (line) => {
      const [sent, arrived] = line.split(' ').map(Number);
      this.lastSent = sent!;
      this.lastArrival = arrived!;
      this.onArrival();
    });
    this.children = [receiver, start(from, 'send', to.address)];
  }

  /** Resolves with the arrival of the first datagram that was sent after `since`. */
  passes(since: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('still dropped')), FLIP_MILLISECONDS_MAX);
      this.onArrival = () => {
        if (this.lastSent < since) return;
        clearTimeout(timer);
        this.onArrival = () => {};
        resolve(this.lastArrival);
      };
    });
  }

  /** Resolves with the sending of the last datagram that got through. */
  async stops(): Promise<number> {
    const end = now() + FLIP_MILLISECONDS_MAX;
    while (now() - this.lastArrival < SILENCE_MILLISECONDS) {
      if (now() > end) throw new Error('still passed');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.lastSent;
  }

  close(): void {
    for (const child of this.children) child.kill('SIGKILL');
  }
}

/** Flips back and forth: milliseconds from the write to the verdict, each way. */
export async function flips(
  flow: Flow,
  rounds: number,
  write: (open: boolean) => Promise<void>,
): Promise<{ readonly opened: readonly number[]; readonly closed: readonly number[] }> {
  const opened: number[] = [];
  const closed: number[] = [];
  // Both ends of the stream are up.
  const first = flow.passes(now());
  await write(true);
  await first;
  await write(false);
  await flow.stops();
  for (let round = 0; round < rounds; round++) {
    let began = now();
    const passes = flow.passes(began);
    await write(true);
    opened.push((await passes) - began);
    await pause();
    began = now();
    await write(false);
    closed.push(Math.max(0, (await flow.stops()) - began));
    await pause();
  }
  return { opened, closed };
}

/** Changes do not come in step with our own timers. */
const pause = (): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 100));
