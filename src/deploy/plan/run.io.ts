// The command `plan`: reads values, asks Helm or the cluster what is there now, and prints.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import type { Json } from '../../base/json.ts';
import type { Values } from '../../model/settings/schema.ts';
import { defaults, settingsFrom } from '../../model/settings/settings.ts';
import { NAMESPACE } from '../constructs/manifest.ts';
import { type Manifest, manifests } from '../manifests.ts';
import { effectsOf } from './effects.ts';
import { liveDifference, liveValues } from './live.ts';
import { linesOf, type Plan, planOf } from './plan.ts';

export const PLAN_USAGE = `usage: calico-kit plan -f NEW.yaml [--against release|live|OLD.yaml] [-o json]
  release   the values of Helm's release calico in kube-system (helm in PATH)
  live      the objects that the cluster has (kubectl in PATH)
  OLD.yaml  other values; without --against: the defaults`;

/** Exit code: 2 where something is refused. Throws with what is wrong. */
export function runPlan(argv: readonly string[]): number {
  const { values: options, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      file: { type: 'string', short: 'f' },
      against: { type: 'string' },
      output: { type: 'string', short: 'o' },
    },
  });
  const [file = positionals[0], against = positionals[1]] = [options.file, options.against];
  if (!file) throw new Error(PLAN_USAGE);
  const plan = planAgainst(against, valuesOf(file, readValues(file)));
  const text = options.output === 'json' ? JSON.stringify(plan, null, 2) : linesOf(plan).join('\n');
  console.log(text);
  return plan.effects.some(({ kind }) => kind === 'refused') ? 2 : 0;
}

function planAgainst(against: string | undefined, wanted: Values): Plan {
  if (against === undefined) return planOf(defaults(), wanted);
  if (against === 'release') return planOf(valuesOf('the release', releaseValues()), wanted);
  if (against !== 'live') return planOf(valuesOf(against, readValues(against)), wanted);
  const objects = manifests(wanted);
  const live = liveObjects(objects);
  if (live.length === 0) return { objects: liveDifference([], objects), effects: [] };
  const changes = liveDifference(live, objects);
  return { objects: changes, effects: effectsOf(liveValues(live, wanted), wanted, changes) };
}

function valuesOf(source: string, read: Json): Values {
  const settings = settingsFrom(read);
  if (!settings.ok)
    throw new Error(settings.error.map((fault) => `${source}: ${fault}`).join('\n'));
  return settings.value;
}

export function readValues(file: string): Json {
  const text = readFileSync(file, 'utf8');
  try {
    return parse(text) as Json;
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : error}`);
  }
}

function run(command: string, args: readonly string[], input?: string): string {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      ...(input === undefined ? {} : { input }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  } catch (cause) {
    const { code, stderr } = cause as { code?: string; stderr?: string };
    if (code === 'ENOENT') throw new Error(`${command} is not in PATH`);
    throw new Error(`${command} ${args.slice(0, 2).join(' ')}: ${stderr?.trim() ?? String(cause)}`);
  }
}

const releaseValues = (): Json =>
  JSON.parse(run('helm', ['get', 'values', 'calico', '-n', NAMESPACE, '-o', 'json'])) as Json;

/** What the cluster has of these objects, and of others with our labels that are not among them. */
function liveObjects(wanted: readonly Manifest[]): readonly Manifest[] {
  const list = (args: readonly string[], input?: string): readonly Manifest[] => {
    const text = run('kubectl', ['get', ...args, '-o', 'json'], input).trim();
    if (text === '') return [];
    const answer = JSON.parse(text) as Manifest & { readonly items?: readonly Manifest[] };
    return answer.items ?? [answer];
  };
  const all = { apiVersion: 'v1', kind: 'List', items: wanted };
  const named = list(['-f', '-', '--ignore-not-found'], JSON.stringify(all));
  const parts = ['calico-node', 'calico-kube-controllers', 'calico-etcd'].join(',');
  const kinds = 'daemonsets,deployments,configmaps,services,serviceaccounts';
  const labelled = list([kinds, '-n', NAMESPACE, '-l', `k8s-app in (${parts})`]);
  const uid = ({ metadata }: Manifest): unknown => (metadata as { uid?: string }).uid;
  const seen = new Set(named.map(uid));
  return [...named, ...labelled.filter((object) => !seen.has(uid(object)))];
}
