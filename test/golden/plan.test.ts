// `calico-kit plan` as users run it; Helm and kubectl are stood in for.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { manifests } from '../../src/deploy/manifests.ts';
import { defaults } from '../../src/model/settings/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'ckt-plan-'));
const bin = join(work, 'bin');
mkdirSync(bin);
after(() => rmSync(work, { recursive: true, force: true }));

function stand(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

function plan(...argv: string[]) {
  const PATH = `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'src/cli/main.ts'), 'plan', ...argv],
    { encoding: 'utf8', cwd: work, env: { PATH } },
  );
  return { status, stdout, stderr };
}

writeFileSync(join(work, 'new.yaml'), 'etcd: {clusterIP: 10.96.0.9}\n');

test('against the defaults, and against a file', () => {
  const { status, stdout } = plan('-f', 'new.yaml');
  assert.equal(status, 2, 'something is refused');
  assert.match(stdout, /spec\.clusterIP: "10\.96\.232\.136" -> "10\.96\.0\.9"/);
  assert.match(stdout, /refused {3}etcd\.clusterIP/);
  assert.deepEqual(plan('-f', 'new.yaml', '--against', 'new.yaml'), {
    status: 0,
    stdout: 'nothing changes\n',
    stderr: '',
  });
  interface Plan {
    readonly effects: readonly { readonly kind: string }[];
  }
  const json = JSON.parse(plan('-f', 'new.yaml', '-o', 'json').stdout) as Plan;
  assert.equal(json.effects[0]?.kind, 'refused');
});

test('against the release: the values that Helm keeps', () => {
  stand(
    'helm',
    `[ "$*" = "get values calico -n kube-system -o json" ] && echo '{"etcd":{"clusterIP":"10.96.0.9"}}'`,
  );
  assert.equal(plan('-f', 'new.yaml', '--against', 'release').stdout, 'nothing changes\n');
  stand('helm', 'echo "Error: release: not found" >&2; exit 1');
  const missing = plan('-f', 'new.yaml', '--against', 'release');
  assert.deepEqual([missing.status, missing.stdout], [1, '']);
  assert.equal(missing.stderr, 'helm get values: Error: release: not found\n');
});

test('against what runs', () => {
  const items = manifests(defaults());
  writeFileSync(join(work, 'live.json'), JSON.stringify({ kind: 'List', items }));
  stand('kubectl', `case "$*" in "get -f -"*) cat >/dev/null; cat ${work}/live.json ;; esac`);
  const { status, stdout } = plan('-f', 'new.yaml', '--against', 'live');
  assert.equal(status, 2, stdout);
  assert.match(
    stdout,
    /~ Service calico-etcd\n {4}spec\.clusterIP: "10\.96\.232\.136" -> "10\.96\.0\.9"/,
  );
  stand('kubectl', 'cat >/dev/null');
  assert.match(plan('-f', 'new.yaml', '--against', 'live').stdout, /^\+ /);
});

test('what is wrong is said', () => {
  assert.match(plan().stderr, /^usage: calico-kit plan -f NEW\.yaml/);
  writeFileSync(join(work, 'bad.yaml'), 'networking: {mtu: 5}\n');
  assert.deepEqual(plan('-f', 'bad.yaml'), {
    status: 1,
    stdout: '',
    stderr: 'bad.yaml: networking.mtu: 5 is out of range (576 to 65535)\n',
  });
});
