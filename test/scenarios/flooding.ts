// A flood between two namespaces while something happens: forbidden datagrams, of which none may arrive, and
// allowed ones, which show that the way is open, and how long it was not.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../lab/command.ts';
import type { TestNetns } from '../lab/netns.ts';

const PROGRAM = join(import.meta.dirname, 'flood.ts');
export const FORBIDDEN = 9000;
export const ALLOWED = 9001;

export class Flood {
  readonly arrived = new Map<number, number>([
    [FORBIDDEN, 0],
    [ALLOWED, 0],
  ]);
  private readonly children: readonly ChildProcess[];
  /** When the last allowed one came, and the longest time without one, in milliseconds. */
  private lastAt = performance.now();
  private longest = 0;

  constructor(
    from: { readonly netns: TestNetns },
    to: { readonly netns: TestNetns; readonly address: string },
  ) {
    const start = (netns: TestNetns, ...args: string[]): ChildProcess =>
      spawn('ip', ['netns', 'exec', netns.name, process.execPath, PROGRAM, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const ports = [FORBIDDEN, ALLOWED].map(String);
    const receiver = start(to.netns, 'receive', to.address, ...ports);
    createInterface({ input: receiver.stdout! }).on('line', (line) => this.came(line));
    this.children = [receiver, start(from.netns, 'send', to.address, ...ports)];
  }

  private came(line: string): void {
    const [port, at] = line.split(' ').map(Number) as [number, number];
    this.arrived.set(port, (this.arrived.get(port) ?? 0) + 1);
    if (port !== ALLOWED) return;
    this.longest = Math.max(this.longest, at - this.lastAt);
    this.lastAt = at;
  }

  async allowedPasses(): Promise<void> {
    const before = this.arrived.get(ALLOWED)!;
    await eventually('what is allowed passes', () => this.arrived.get(ALLOWED)! > before);
  }

  /** The longest time without an allowed one since the last call, in milliseconds, on the receiver's clock. */
  gap(): number {
    const { longest } = this;
    this.longest = 0;
    return longest;
  }

  assertNoGap(when: string): void {
    assert.equal(this.arrived.get(FORBIDDEN), 0, `forbidden datagrams passed: ${when}`);
  }

  close(): void {
    for (const child of this.children) child.kill('SIGKILL');
  }
}
