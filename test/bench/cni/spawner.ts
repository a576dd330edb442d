// The process that starts the plugins: small, so that starting one costs what a runtime pays.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BIN } from '../../cluster/tools.ts';

export interface Round {
  readonly file: string;
  readonly config: string;
  readonly parallel: number;
  /** The environment of each call. */
  readonly calls: readonly Readonly<Record<string, string>>[];
}

/** Milliseconds: exec to exit of each call, wall and CPU of all. */
export interface Figures {
  readonly times: readonly number[];
  readonly wall: number;
  /** Of the plugins' processes and their children. */
  readonly cpu: number;
  /** The last call's refusal; empty when every one succeeded. */
  readonly refusal: string;
}

export interface Spawner {
  /** Throws when a plugin refuses. */
  run(round: Round): Promise<Figures>;
  close(): void;
}

/** Runs in the network namespace of that name. */
export function openSpawner(netns: string): Spawner {
  const binary = join(BIN, 'cni-spawn');
  mkdirSync(BIN, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' };
  execFileSync('go', ['build', '-o', binary, '.'], {
    cwd: join(import.meta.dirname, 'spawn'),
    env,
  });
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, binary], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(round) {
      child.stdin.write(`${JSON.stringify(round)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('the spawner ended');
      const figures = JSON.parse(value) as Figures;
      if (figures.refusal) throw new Error(figures.refusal);
      return figures;
    },
    close: () => child.stdin.end(),
  };
}
