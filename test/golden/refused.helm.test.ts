// Values files that are refused, and every word that a person reads then: of `cdk8s synth`, and of Helm.
// UPDATE_GOLDEN=1 writes the expected files anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import type { Json } from '../../src/base/json.ts';
import { type Helm, openHelm } from '../../src/deploy/chart/helm.cases.ts';
import { settingsFrom } from '../../src/model/settings/settings.ts';

const FOLDER = join(import.meta.dirname, 'refused');
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

let helm: Helm;
before(async () => {
  helm = await openHelm();
});
after(() => helm?.close());

/** The words of Helm without those about its own working. */
const wordsOf = (said: string): string =>
  said
    .replace(/^Error: execution error at \(.*?\): \n/, '')
    .replace(/\n\nUse --debug flag to render out invalid YAML\n$/, '\n')
    .replace(/^Error: /, '');

test('there are at least ten', () => assert.ok(files.length >= 10));

for (const file of files) {
  test(`refused: ${file}`, () => {
    const values = parse(readFileSync(join(FOLDER, file), 'utf8')) as Json;
    const settings = settingsFrom(values);
    assert.ok(!settings.ok, 'settingsFrom takes it');
    const said = {
      'cdk8s.txt': `${settings.error.join('\n')}\n`,
      'helm.txt': wordsOf(helm.refusal(values) ?? ''),
    };
    for (const [road, text] of Object.entries(said)) {
      const golden = join(FOLDER, file.replace('yaml', road));
      if (process.env['UPDATE_GOLDEN']) writeFileSync(golden, text);
      assert.equal(text, readFileSync(golden, 'utf8'), road);
    }
  });
}
