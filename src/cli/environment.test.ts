import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsOfConfig, settingsOfEnvironment } from './environment.ts';

const wrong = (result: ReturnType<typeof settingsOfConfig>): string =>
  result.ok ? 'nothing' : result.error;

test('from the environment: endpoints and files', () => {
  assert.deepEqual(settingsOfEnvironment({ ETCD_ENDPOINTS: 'http://a:1, http://b:2' }), {
    ok: true,
    value: { endpoints: ['http://a:1', 'http://b:2'] },
  });
  const tls = {
    ETCD_ENDPOINTS: 'https://a:1',
    ETCD_CA_CERT_FILE: '/ca',
    ETCD_CERT_FILE: '/cert',
    ETCD_KEY_FILE: '/key',
  };
  assert.deepEqual(settingsOfEnvironment(tls), {
    ok: true,
    value: {
      endpoints: ['https://a:1'],
      authorities: { file: '/ca' },
      certificate: { file: '/cert' },
      key: { file: '/key' },
    },
  });
  const cases: readonly [object, RegExp][] = [
    [{ ETCD_ENDPOINTS: ' , ' }, /ETCD_ENDPOINTS is not set; give e\.g\./],
    [{ ETCD_KEY_FILE: '' }, /go together/],
    [{ ETCD_ENDPOINTS: 'https://a:1,http://b:1' }, /is not https/],
    [{ ETCD_USERNAME: 'root' }, /ETCD_USERNAME is not supported/],
  ];
  for (const [change, message] of cases)
    assert.match(wrong(settingsOfEnvironment({ ...tls, ...change })), message);
});

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
