// The allocator on a real etcd.
import { after, before, describe } from 'node:test';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import { ROOT } from '../model/keys.ts';
import { allocatorCases } from './allocator.cases.ts';

describe('allocator on etcd', () => {
  let server: EtcdServer;
  const stores: Store[] = [];
  before(async () => {
    server = await startEtcd();
  });
  after(async () => {
    for (const store of stores) store.close();
    await server?.stop();
  });

  allocatorCases('etcd', async () => {
    const store = openEtcdStore({ endpoints: server.endpoints });
    stores.push(store);
    const { items } = await store.list(ROOT);
    for (const { key } of items) await store.transaction([], [{ kind: 'delete', key }]);
    return store;
  });
});
