// Starts comparisons, each in namespaces of its own.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { toolPath } from '../cluster/tools.ts';
import { createNetns, netnsPath } from '../lab/netns.ts';
import type { Compared } from './compare.ts';
import { SETTINGS } from './world.ts';

/** So many worlds under each way to set a service proxy up, beginning with this seed. */
export async function differential(seed: number, worlds: number): Promise<Compared> {
  await toolPath('kube-proxy');
  const all = SETTINGS.map((_, settings) =>
    compareApart(seed + settings * worlds, worlds, settings),
  );
  return {
    worlds: all.reduce((sum, one) => sum + one.worlds, 0),
    rules: all.reduce((sum, one) => sum + one.rules, 0),
    figures: all[0]!.figures,
    differences: all.flatMap((one, i) =>
      one.differences.map((line) => `${SETTINGS[i]!.name}: ${line}`),
    ),
  };
}

function compareApart(seed: number, worlds: number, settings: number): Compared {
  const [theirs, ours] = ['theirs', 'ours'].map((who) =>
    createNetns(`ckt-kp-${process.pid}-${who}`),
  );
  try {
    const program = join(import.meta.dirname, 'compare.ts');
    const words = [process.execPath, program, ours!.name, seed, worlds, settings].map(String);
    const { stdout, status } = spawnSync(
      'nsenter',
      [`--net=${netnsPath(theirs!.name)}`, ...words],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    if (status !== 0) throw new Error(`the comparison ended with ${status}`);
    return JSON.parse(stdout) as Compared;
  } finally {
    theirs!.remove();
    ours!.remove();
  }
}
