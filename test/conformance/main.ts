// `make conformance`: Kubernetes' own e2e suite against a cluster with our chart on it.
//   FOCUS=netpol|services|pods|REGEX   a committed list, or every spec whose name matches
//   PROXY=calico|kube-proxy   who serves Services; calico for FOCUS=services
//   SKIP=REGEX PROCS=3 ROUNDS=1 MINUTES=60 KEEP=1 (leave the cluster; a later run uses it again)
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICE_PROXY_VALUES } from '../cluster/bring-up.ts';
import { lastWords } from '../cluster/calico-pods.ts';
import { mustBeRoot, netnsCluster } from '../cluster/netns/netns-cluster.ts';
import { openProgress } from '../cluster/progress.ts';
import { uninstallWithServices } from '../cluster/service-proxy.ts';
import { FOLDER, hasSctp, LISTS, prepareConformance, readList } from './conform.ts';
import { installDns } from './dns.ts';
import { type Result, resultTable, verdict } from './results.ts';
import { type Choice, choose, differences, without } from './specs.ts';
import { runSpecs, specNames } from './suite.ts';

const setting = (name: string, otherwise: string): string => process.env[name] || otherwise;

const FOCUS = setting('FOCUS', 'netpol');
const SKIP = setting('SKIP', '');
const PROCS = Number(setting('PROCS', '3'));
const ROUNDS = Number(setting('ROUNDS', '1'));
const MINUTES = Number(setting('MINUTES', '60'));
const KEEP = setting('KEEP', '') !== '';

const PROXY = setting('PROXY', FOCUS === 'services' ? 'calico' : 'kube-proxy');

const cluster = netnsCluster(3, { kubeProxy: PROXY === 'kube-proxy' });
const progress = openProgress();

async function choice(): Promise<Choice> {
  const suite = await progress.step('names of the specs', () => specNames(FOLDER));
  if (!LISTS.includes(FOCUS)) {
    const focus = new RegExp(FOCUS);
    return without({ runs: suite.filter((name) => focus.test(name)), leftOut: [] }, SKIP);
  }
  const list = readList(FOCUS);
  const wrong = differences(list, suite);
  if (wrong.length > 0)
    throw new Error(`${FOCUS}.specs is not the suite's list:\n${wrong.join('\n')}`);
  const also = (await hasSctp(cluster)) ? ['sctp'] : [];
  return without(choose(list, { also }), SKIP);
}

function tell({ runs, leftOut }: Choice): void {
  console.log(`\n${runs.length} specs run, ${PROCS} at a time`);
  for (const { why, names } of leftOut) {
    console.log(`${names.length} left out: ${why}`);
    for (const name of names) console.log(`  ${name}`);
  }
}

async function conform(): Promise<boolean> {
  mustBeRoot();
  const values = PROXY === 'calico' ? [SERVICE_PROXY_VALUES] : [];
  await prepareConformance(cluster, progress, ...values);
  if (FOCUS !== 'netpol') await installDns(cluster, progress);
  const chosen = await choice();
  tell(chosen);
  progress.note(`Services are served by ${PROXY}`);
  if (chosen.runs.length === 0) throw new Error(`no spec for FOCUS=${FOCUS} SKIP=${SKIP}`);
  const rounds: (readonly Result[])[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const running = {
      processes: PROCS,
      minutes: MINUTES,
      folder: join(FOLDER, `round-${round}`),
      note: progress.note,
    };
    const results = await progress.step(`round ${round} of ${ROUNDS}`, () =>
      runSpecs(cluster, chosen.runs, running),
    );
    rounds.push(results);
  }
  for (const { name, state, message } of rounds.flat().filter((r) => r.state !== 'passed'))
    console.log(`\n${state}: ${name}\n${message}`);
  const { ok, text } = verdict(chosen.runs, rounds);
  if (!ok) writeFileSync(join(FOLDER, 'last-words.txt'), await lastWords(cluster));
  if (PROXY === 'calico' && !KEEP)
    await progress.step('uninstalled: no rule of Services stays', () =>
      uninstallWithServices(cluster),
    );
  console.log(`\n${resultTable(rounds)}\n\n${text}; logs and reports: ${FOLDER}`);
  return ok;
}

try {
  if (!(await conform())) process.exitCode = 1;
} catch (cause) {
  console.error(`make conformance failed: ${cause instanceof Error ? cause.message : cause}`);
  process.exitCode = 1;
} finally {
  if (KEEP) console.log(`The cluster stays: KEEP=1 uses it again, make down removes it.`);
  else await progress.step('cluster removed', () => cluster.delete());
}
