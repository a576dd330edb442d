// `make bench BENCH=synth`: the time a person waits for manifests, for the chart, and for Helm to
// render it. Median of 20 runs, whole processes; the floor is a process that does nothing.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../../cluster/tools.ts';
import { median } from '../figures.ts';

const RUNS = 20;
const ROOT = join(import.meta.dirname, '../../..');
const MAIN = join(ROOT, 'src/deploy/main.ts');
const out = mkdtempSync(join(tmpdir(), 'ckb-synth-'));

function time(argv: readonly [string, ...string[]]): number {
  const began = performance.now();
  const env = { ...process.env, CDK8S_OUTDIR: join(out, 'dist'), HOME: out };
  const { status, stderr } = spawnSync(argv[0], argv.slice(1), { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return performance.now() - began;
}

try {
  const helm = await toolPath('helm');
  const chart = join(ROOT, 'charts/calico');
  const node = process.execPath;
  const figures: [
    name: string,
    goalMs: number,
    ours: [string, ...string[]],
    floor: [string, ...string[]],
  ][] = [
    ['synth-manifests', 1000, [node, MAIN], [node, '-e', '0']],
    ['synth-chart', 3000, [node, MAIN, 'chart', join(out, 'chart')], [node, '-e', '0']],
    [
      'synth-helm-template',
      150,
      [helm, 'template', 'calico', chart, '--kube-version', '1.36.0'],
      [helm, 'version'],
    ],
  ];
  for (const [name, goal, ours, floor] of figures) {
    const [mine, bare]: [number[], number[]] = [[], []];
    for (let i = 0; i < RUNS; i++) {
      mine.push(time(ours));
      bare.push(time(floor));
    }
    console.log(
      `bench ${name} ours=${median(mine).toFixed(0)}ms floor=${median(bare).toFixed(0)}ms goal<=${goal}ms`,
    );
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}
