// The alerts under Prometheus' own promtool: the expressions are good, each alert fires when it should
// and stays quiet when not, and its texts are filled in.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { toolPath } from '../../../test/cluster/tools.ts';
import { type Alert, alerts, ruleGroups, type Series } from './alerts.ts';

const work = mkdtempSync(join(tmpdir(), 'ckt-alerts-'));
const rules = join(work, 'rules.yaml');
let promtool = '';

before(
  async () => {
    promtool = await toolPath('promtool');
    writeFileSync(rules, stringify({ groups: ruleGroups() }));
  },
  { timeout: 1_500_000 },
);
after(() => rmSync(work, { recursive: true, force: true }));

function run(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync(promtool, argv, { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

test('promtool takes the rules', () => {
  assert.match(run('check', 'rules', rules), new RegExp(`SUCCESS: ${alerts.length} rules found`));
});

/** What promtool is told of one alert: the series of an hour, and how many times it has fired by then. */
const testOf = (series: Series, name: string, firing: readonly object[]) => ({
  interval: '1m',
  input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
  alert_rule_test: [{ eval_time: '59m', alertname: name, exp_alerts: firing }],
});

/** What promtool says of the alerts that come, when none was expected. */
function fired({ name, fires }: Alert): string {
  const file = join(work, `${name}-ask.yaml`);
  writeFileSync(file, stringify({ rule_files: [rules], tests: [testOf(fires, name, [])] }));
  const { stdout, stderr } = spawnSync(promtool, ['test', 'rules', file], { encoding: 'utf8' });
  return stdout + stderr;
}

for (const alert of alerts) {
  test(`${alert.name} fires, and is quiet`, () => {
    const told = fired(alert);
    assert.match(told, new RegExp(`Labels:\\{[^}]*alertname="${alert.name}"`));
    assert.doesNotMatch(told, /no value|\{\{/, 'its texts are filled in');
    const file = join(work, `${alert.name}.yaml`);
    const quiet = testOf(alert.quiet, alert.name, []);
    writeFileSync(file, stringify({ rule_files: [rules], tests: [quiet] }));
    run('test', 'rules', file);
  });
}
