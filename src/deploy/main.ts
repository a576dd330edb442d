// The cdk8s app. `node src/deploy/main.ts` (or `cdk8s synth`) writes the manifests to dist/ for
// the settings in the file named by CALICO_SETTINGS, or for the defaults;
// `... chart DIR` writes the Helm chart; `... plan NEW.yaml [OLD.yaml]` says what NEW would change.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { App } from 'cdk8s';
import { parse } from 'yaml';
import type { Json } from '../base/json.ts';
import type { Values } from '../model/settings/schema.ts';
import { defaults, settingsFrom } from '../model/settings/settings.ts';
import { chartFiles } from './chart/package.ts';
import { Calico } from './constructs/calico.ts';
import { CalicoCertificates } from './constructs/calico-certificates.ts';
import { CalicoCleanup } from './constructs/calico-cleanup.ts';
import { CalicoTest } from './constructs/calico-test.ts';
import { linesOf, planOf } from './plan/plan.ts';
import { risksOf } from './risks.ts';

const USAGE = 'usage: node src/deploy/main.ts [synth | chart DIR | plan NEW.yaml [OLD.yaml]]';

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
  synthCertificates(join(app.outdir, 'certificates'), settings.value);
  for (const { present, text } of risksOf(settings.value)) {
    if (present) console.error(`note: ${text}`);
  }
}

/** Apart, because it is applied first; only where certificates are to be made. */
function synthCertificates(outdir: string, settings: Values): void {
  rmSync(outdir, { recursive: true, force: true });
  const certificates = new App({ outdir });
  const chart = new CalicoCertificates(certificates, 'calico-certificates', settings);
  if (chart.toJson().length > 0) certificates.synth();
}

/** From OLD, or from the defaults, to NEW. Ends with 2 where something is refused. */
function plan(newFile: string, oldFile: string | undefined): void {
  const read = (file: string): Values => {
    const settings = settingsFrom(readValues(file));
    if (!settings.ok)
      throw new Error(settings.error.map((fault) => `${file}: ${fault}`).join('\n'));
    return settings.value;
  };
  const planned = planOf(oldFile ? read(oldFile) : defaults(), read(newFile));
  console.log(linesOf(planned).join('\n'));
  if (planned.effects.some(({ kind }) => kind === 'refused')) process.exitCode = 2;
}

function readValues(file: string): Json {
  const text = readFileSync(file, 'utf8');
  try {
    return parse(text) as Json;
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : error}`);
  }
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

function main([command = 'synth', folder, old]: readonly string[]): void {
  if (command === 'synth' && !folder) synth(process.env['CALICO_SETTINGS']);
  else if (command === 'chart' && folder) chart(folder);
  else if (command === 'plan' && folder) plan(folder, old);
  else throw new Error(USAGE);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
