// The cdk8s app. `node src/deploy/main.ts` (or `cdk8s synth`) writes the manifests to dist/ for
// the settings in the file named by CALICO_SETTINGS, or for the defaults;
// `... chart DIR` writes the Helm chart; `... plan -f NEW.yaml` says what NEW would change.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { App, type Chart } from 'cdk8s';
import { settingsFrom } from '../model/settings/settings.ts';
import { chartFiles } from './chart/package.ts';
import { Calico } from './constructs/calico.ts';
import { CalicoCertificates } from './constructs/calico-certificates.ts';
import { CalicoCleanup } from './constructs/calico-cleanup.ts';
import { CalicoPoolsCheck } from './constructs/calico-pools-check.ts';
import { CalicoTest } from './constructs/calico-test.ts';
import { PLAN_USAGE, readValues, runPlan } from './plan/run.io.ts';
import { risksOf } from './risks.ts';

const USAGE = `usage: node src/deploy/main.ts [synth | chart DIR | plan ...]\n${PLAN_USAGE}`;

/** Writes the manifests; the folder is cdk8s's own (CDK8S_OUTDIR, else dist). */
function synth(valuesFile: string | undefined): void {
  const settings = settingsFrom(valuesFile ? readValues(valuesFile) : null);
  if (!settings.ok) throw new Error(settings.error.join('\n'));
  const app = new App();
  new Calico(app, 'calico', settings.value);
  app.synth();
  // Apart, because it must not be applied together with the rest.
  const uninstall = new App({ outdir: join(app.outdir, 'uninstall') });
  new CalicoCleanup(uninstall, 'calico-cleanup', settings.value);
  uninstall.synth();
  const test = new App({ outdir: join(app.outdir, 'test') });
  new CalicoTest(test, 'calico-test', settings.value);
  test.synth();
  synthFirst(join(app.outdir, 'certificates'), (first) => {
    return new CalicoCertificates(first, 'calico-certificates', settings.value);
  });
  synthFirst(join(app.outdir, 'check'), (first) => {
    return new CalicoPoolsCheck(first, 'calico-pools-check', settings.value);
  });
  for (const { present, text } of risksOf(settings.value)) {
    if (present) console.error(`note: ${text}`);
  }
}

/** Apart, because it is applied first; only where there is something to do. */
function synthFirst(outdir: string, build: (app: App) => Chart): void {
  rmSync(outdir, { recursive: true, force: true });
  const app = new App({ outdir });
  if (build(app).toJson().length > 0) app.synth();
}

/** Replaces the chart in `folder`. */
function chart(folder: string): void {
  rmSync(join(folder, 'templates'), { recursive: true, force: true });
  for (const [path, text] of chartFiles()) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

function main([command = 'synth', ...rest]: readonly string[]): void {
  const [folder] = rest;
  if (command === 'synth' && !folder) synth(process.env['CALICO_SETTINGS']);
  else if (command === 'chart' && folder) chart(folder);
  else if (command === 'plan') process.exitCode = runPlan(rest);
  else throw new Error(USAGE);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
