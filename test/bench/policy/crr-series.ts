// What resident policies cost a connection: pod to pod with 1,000 of them, ten of which apply to the
// server, against none, in turns.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { figure, quantile } from '../figures.ts';
import type { WiredPod } from './flow.ts';
import { type Bench, fill, withAgent } from './series.ts';
import {
  allowFrom,
  LOCAL_PODS,
  localPods,
  policies,
  policyKey,
  policyValue,
  together,
  type World,
} from './stored.ts';

const CRR = join(import.meta.dirname, 'crr.ts');
const ROUNDS = Number(process.env['CRR_ROUNDS'] || 6);
const SECONDS = '2';
const SETTLE_MILLISECONDS = 3000;
/** Time may be 1 / 0.97 of what it is without. */
const GOAL = 1.03;
const MICROSECONDS = 1_000_000;
const ELSEWHERE = 990;
const ON_SERVER = 10;

const argvIn = ({ netns }: WiredPod, ...args: string[]): string[] => [
  ...['netns', 'exec', netns.name, process.execPath, CRR],
  ...args,
];

function resident(): World {
  const onServer: World = new Map();
  for (let n = 1; n <= ON_SERVER; n++) {
    const from = n < ON_SERVER ? `app == 'nobody${n}'` : `app == 'client'`;
    onServer.set(policyKey(`z${n}`), policyValue(`z${n}`, `app == 'server'`, [allowFrom(from)], n));
  }
  return together(policies(ELSEWHERE), onServer);
}

export async function crr(bench: Bench): Promise<void> {
  const { client, server } = bench;
  const none = localPods(LOCAL_PODS);
  const all = together(none, resident());
  await withAgent(bench, none, async () => {
    const serving = spawn('ip', argvIn(server, 'serve'), { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(serving.stdout!, 'data');
    const rate = async (): Promise<number> => {
      const argv = argvIn(client, 'drive', server.address, SECONDS);
      return Number((await promisify(execFile)('ip', argv)).stdout);
    };
    const rates: { readonly none: number[]; readonly all: number[] } = { none: [], all: [] };
    try {
      await rate(); // warm
      for (let round = 0; round < ROUNDS; round++)
        for (const [name, world] of [['none', none] as const, ['all', all] as const]) {
          await fill(bench, world);
          await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLISECONDS));
          rates[name].push(await rate());
        }
    } finally {
      serving.kill('SIGKILL');
    }
    const micros = (of: readonly number[]): number => MICROSECONDS / quantile(of, 0.5);
    console.log(figure('policy-tcp-crr', micros(rates.all), micros(rates.none), 'us', GOAL));
  });
}
