// The store and an etcd that only speaks TLS: a certificate that is replaced needs no restart.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Certificate, etcdFiles, makeCertificate } from '../../test/lab/certificate.ts';
import { eventually } from '../../test/lab/command.ts';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openStore } from './settings.io.ts';
import { etcdSettings } from './settings.ts';
import type { Watcher } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'calico-kit-tls-'));
let etcd: EtcdServer | undefined;
let pair: Certificate;

before(async () => {
  pair = makeCertificate(folder, '127.0.0.1');
  etcd = await startEtcd({ tls: pair });
});
after(async () => {
  await etcd?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const store = () => {
  const env = { ETCD_ENDPOINTS: etcd?.endpoints.join(','), ...etcdFiles(pair) };
  const settings = etcdSettings(env);
  assert.ok(settings.ok);
  return openStore(settings.value);
};

test('transactions, lists and watches go over TLS', async () => {
  const opened = store();
  const stop = new AbortController();
  try {
    const listed = Promise.withResolvers<void>();
    const seen = Promise.withResolvers<string>();
    const watcher: Watcher = {
      snapshot: () => listed.resolve(),
      changes: ([change]) => seen.resolve(change?.kind === 'put' ? change.item.key : ''),
    };
    opened.watch('/calico/test/', watcher, stop.signal);
    await listed.promise;
    await opened.transaction([], [{ kind: 'put', key: '/calico/test/a', value: '1' }]);
    assert.equal((await opened.list('/calico/test/')).items[0]?.value, '1');
    assert.equal(await seen.promise, '/calico/test/a');
  } finally {
    stop.abort();
    opened.close();
  }
});

test('a certificate that cannot be read ends the start; one that is replaced is used at once', async () => {
  renameSync(pair.key, `${pair.key}.away`);
  assert.throws(store, /ENOENT/);
  renameSync(`${pair.key}.away`, pair.key);
  const opened = store();
  try {
    await opened.get('/calico/test/a');
    const { certificate, key } = pair;
    for (const file of [certificate, key]) {
      renameSync(file, `${file}.old`);
      writeFileSync(file, '');
    }
    makeCertificate(folder, '127.0.0.1');
    // The server has read its own at the start: it knows only the new one from now on.
    await etcd?.kill();
    await etcd?.restart();
    await eventually('the new certificate is shown', () =>
      opened.get('/calico/test/a').then(
        () => true,
        () => false,
      ),
    );
  } finally {
    opened.close();
  }
});
