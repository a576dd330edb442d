import assert from 'node:assert/strict';
import { test } from 'node:test';
import { etcdSettings } from './settings.ts';

const files = {
  ETCD_ENDPOINTS: 'https://a:1',
  ETCD_CA_CERT_FILE: '/ca',
  ETCD_CERT_FILE: '/cert',
  ETCD_KEY_FILE: '/key',
};

test('endpoints, certificates as files and as text', () => {
  const settings = (env: Record<string, string>) => {
    const read = etcdSettings(env);
    assert.ok(read.ok, JSON.stringify(read));
    return read.value;
  };
  assert.deepEqual(settings({ ETCD_ENDPOINTS: 'http://a:1, http://b:2' }), {
    endpoints: ['http://a:1', 'http://b:2'],
  });
  assert.deepEqual(settings(files), {
    endpoints: ['https://a:1'],
    authorities: { file: '/ca' },
    certificate: { file: '/cert' },
    key: { file: '/key' },
  });
  const { ETCD_KEY_FILE: _key, ETCD_CA_CERT_FILE: _authorities, ...more } = files;
  assert.deepEqual(settings({ ...more, ETCD_KEY: 'a key', ETCD_CERT_FILE: '/cert' }), {
    endpoints: ['https://a:1'],
    certificate: { file: '/cert' },
    key: { text: 'a key' },
  });
});

test('what cannot be used is named', () => {
  const cases: readonly [object, RegExp][] = [
    [{ ETCD_ENDPOINTS: ' , ' }, /^ETCD_ENDPOINTS: empty; give e\.g\./],
    [{ ETCD_KEY_FILE: '' }, /go together/],
    [{ ETCD_CERT: 'text' }, /^ETCD_CERT and ETCD_CERT_FILE are both given/],
    [{ ETCD_ENDPOINTS: 'https://a:1,http://b:1' }, /is not https/],
    [{ ETCD_USERNAME: 'root' }, /ETCD_USERNAME is not supported/],
  ];
  for (const [change, message] of cases) {
    const read = etcdSettings({ ...files, ...change });
    assert.match(read.ok ? 'nothing' : read.error, message);
  }
});
