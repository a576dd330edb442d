// Kubernetes' e2e suite against a cluster, from the namespace of its control plane.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { inNetns } from '../cluster/netns/layout.ts';
import { toolPath } from '../cluster/tools.ts';
import { type Result, readReport } from './results.ts';
import { exactly } from './specs.ts';

/** The suite's own flags: no cloud, nothing fetched from nodes after a failure. */
const FLAGS = ['--provider=skeleton', '--disable-log-dump', '--dns-domain=cluster.local'];

export interface Running {
  /** Specs at a time. */
  readonly processes: number;
  readonly minutes: number;
  /** Folder for the log and the reports. */
  readonly folder: string;
  /** Hears how many specs have ended. */
  readonly note: (text: string) => void;
}

/** Names of all specs of the suite. */
export async function specNames(folder: string): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true });
  const report = join(folder, 'all.json');
  const argv = [await toolPath('e2e.test'), '--ginkgo.dry-run', `--ginkgo.json-report=${report}`];
  await run([...argv, '--provider=skeleton', '--kubeconfig=/dev/null'], join(folder, 'all.log'));
  return readReport(readFileSync(report, 'utf8')).map(({ name }) => name);
}

/** Runs exactly these specs; answers their results and those of a set-up that failed. */
export async function runSpecs(
  cluster: Cluster,
  names: readonly string[],
  { processes, minutes, folder, note }: Running,
): Promise<readonly Result[]> {
  mkdirSync(folder, { recursive: true });
  const [ginkgo, suite] = [await toolPath('ginkgo'), await toolPath('e2e.test')];
  const report = ['--json-report=report.json', `--output-dir=${folder}`];
  const limits = [`--procs=${processes}`, `--timeout=${minutes}m`];
  const argv = [
    ...inNetns('cp'),
    ...['env', `HOME=${folder}`, ginkgo, '--no-color', '--silence-skips', ...limits, ...report],
    ...[`--focus=${exactly(names)}`, suite, '--'],
    ...[`--kubeconfig=${cluster.kubeconfig}`, `--num-nodes=${cluster.nodes.length}`],
    ...[`--report-dir=${folder}`, ...FLAGS],
  ];
  let ended = 0;
  await run(argv, join(folder, 'log.txt'), (text) => {
    const more = text.match(/•/g)?.length ?? 0; // ginkgo's mark of a spec that ran
    if (Math.floor((ended + more) / 5) > Math.floor(ended / 5)) note(`${ended + more} specs`);
    ended += more;
  });
  const wanted = new Set(names);
  return readReport(readFileSync(join(folder, 'report.json'), 'utf8')).filter(
    ({ name, state }) => wanted.has(name) || !['passed', 'skipped', 'pending'].includes(state),
  );
}

// The exit code says only that something failed, which the report says better.
function run(
  argv: readonly string[],
  logFile: string,
  hear: (text: string) => void = () => {},
): Promise<void> {
  const [file, ...args] = argv as [string, ...string[]];
  const log = createWriteStream(logFile);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log.write(text);
        hear(text);
      });
    }
    child.on('error', reject);
    child.on('close', () => log.end(resolve));
  });
}
