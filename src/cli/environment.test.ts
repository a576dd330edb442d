import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsOfConfig } from './environment.ts';

const wrong = (result: ReturnType<typeof settingsOfConfig>): string =>
  result.ok ? 'nothing' : result.error;

test('from calicoctl’s configuration file: files or text, not both', () => {
  const config = (spec: object, kind = 'CalicoAPIConfig') =>
    settingsOfConfig(JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, spec }));
  const yaml = `apiVersion: projectcalico.org/v3
kind: CalicoAPIConfig
metadata:
spec:
  datastoreType: etcdv3
  etcdEndpoints: "https://a:2379,https://b:2379"
  etcdCACert: |
    -----BEGIN CERTIFICATE-----
`;
  assert.deepEqual(settingsOfConfig(yaml), {
    ok: true,
    value: {
      endpoints: ['https://a:2379', 'https://b:2379'],
      authorities: { text: '-----BEGIN CERTIFICATE-----\n' },
    },
  });
  const files = { etcdEndpoints: 'https://a:1', etcdCertFile: '/cert', etcdKeyFile: '/key' };
  assert.deepEqual(config(files), {
    ok: true,
    value: {
      endpoints: ['https://a:1'],
      certificate: { file: '/cert' },
      key: { file: '/key' },
    },
  });
  assert.match(wrong(config({ ...files, etcdCert: 'PEM' })), /as text or as files, not both/);
  assert.match(wrong(config({ ...files, datastoreType: 'kubernetes' })), /only etcdv3/);
  assert.match(wrong(config({})), /spec\.etcdEndpoints is missing/);
  assert.match(wrong(config(files, 'IPPool')), /kind is 'IPPool'/);
  assert.match(wrong(settingsOfConfig('a: [')), /^no YAML/);
});
