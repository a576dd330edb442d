// The command as users run it: the manifests of the defaults, byte for byte, and what it says
// about settings that are wrong. UPDATE_GOLDEN=1 writes the expected files anew.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import {
  checkManifests,
  cleanupManifests,
  manifests,
  testManifests,
} from '../../src/deploy/manifests.ts';
import { defaults } from '../../src/model/settings/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'ckt-golden-'));
after(() => rmSync(work, { recursive: true, force: true }));

function synth(valuesFile?: string) {
  const env = {
    ...process.env,
    CDK8S_OUTDIR: join(work, 'dist'),
    CALICO_SETTINGS: valuesFile ?? '',
  };
  const args = [join(ROOT, 'src/deploy/main.ts')];
  return spawnSync(process.execPath, args, { encoding: 'utf8', env, cwd: work });
}

const outputs = {
  'calico.k8s.yaml': manifests,
  'uninstall/calico-cleanup.k8s.yaml': cleanupManifests,
  'check/calico-pools-check.k8s.yaml': checkManifests,
  'test/calico-test.k8s.yaml': testManifests,
};

test('the defaults give the recorded manifests', () => {
  const { status, stderr } = synth();
  assert.equal(status, 0, stderr);
  for (const [path, objects] of Object.entries(outputs)) {
    const text = readFileSync(join(work, 'dist', path), 'utf8');
    const golden = join(import.meta.dirname, path.replace(/^.*\//, ''));
    if (process.env['UPDATE_GOLDEN']) writeFileSync(golden, text);
    assert.equal(text, readFileSync(golden, 'utf8'), path);
    // Kubernetes reads YAML 1.1, where a bare `on` is a boolean.
    const read = parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS());
    assert.deepEqual(read, objects(defaults()), path);
  }
});

test('wrong settings end the command with every fault and write nothing', () => {
  const file = join(work, 'values.yaml');
  writeFileSync(file, 'networking: {podSubnet: 10.0.0.0/33}\netcd: {enabled: false}\n');
  rmSync(join(work, 'dist'), { recursive: true, force: true });
  const { status, stderr } = synth(file);
  assert.equal(status, 1);
  assert.deepEqual(stderr.trim().split('\n'), [
    'networking.podSubnet: "10.0.0.0/33" is not an IPv4 CIDR (prefix 8 to 32), ' +
      'for example 192.168.0.0/16',
    'etcd.endpoints: is needed when etcd.enabled is false, for example http://10.0.2.6:2379',
  ]);
  assert.throws(() => readFileSync(join(work, 'dist/calico.k8s.yaml')));
});

test('a values file that is no YAML is named', () => {
  const file = join(work, 'broken.yaml');
  writeFileSync(file, 'networking: [\n');
  const { status, stderr } = synth(file);
  assert.equal(status, 1);
  assert.match(stderr, /broken\.yaml/);
});

test('a missing values file is named', () => {
  const { status, stderr } = synth(join(work, 'absent.yaml'));
  assert.equal(status, 1);
  assert.match(stderr, /absent\.yaml/);
});
