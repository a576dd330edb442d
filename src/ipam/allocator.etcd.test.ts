// The allocator on a real etcd.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import { HANDLE_PREFIX, ROOT } from '../model/keys.ts';
import { addPool, allocatorCases, audited, open, request, scenarioOn } from './allocator.cases.ts';
import type { Allocator } from './allocator.io.ts';
import { blockLifeCases } from './block-life.cases.ts';
import { foreignDataCases } from './foreign-data.cases.ts';
import { keptAddressCases } from './kept-address.cases.ts';
import { poolChoiceCases } from './pool-choice.cases.ts';

const PODS = 300;

async function assignAll(allocator: Allocator, pods: readonly string[]): Promise<void> {
  const outcomes = await Promise.all(pods.map((pod) => allocator.assign(request(`n.${pod}`))));
  for (const outcome of outcomes) assert.equal(outcome.kind, 'assigned');
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return Math.round((count * 1000) / (performance.now() - start));
}

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

  const fresh = async (): Promise<Store> => {
    const store = openEtcdStore({ endpoints: server.endpoints });
    stores.push(store);
    const { items } = await store.list(ROOT);
    for (const { key } of items) await store.transaction([], [{ kind: 'delete', key }]);
    return store;
  };

  const scenario = scenarioOn('etcd', fresh);
  allocatorCases(scenario);
  poolChoiceCases(scenario);
  blockLifeCases(scenario);
  keptAddressCases(scenario);
  foreignDataCases(scenario);

  test('how fast: one after the other, and all at once', async (context) => {
    const store = await fresh();
    await addPool(store, '10.0.0.0/16');
    const a = await open(store, 'a');
    await assignAll(a, ['warm']);
    const serial = await perSecond(PODS, async () => {
      for (let n = 0; n < PODS; n++) await assignAll(a, [`serial${n}`]);
    });
    const names = Array.from({ length: PODS }, (_, n) => `together${n}`);
    const together = await perSecond(PODS, () => assignAll(a, names));
    context.diagnostic(`ADDs/s on etcd: serial ${serial}, ${PODS} at once ${together}`);
    assert.equal((await store.list(HANDLE_PREFIX)).items.length, 2 * PODS + 1);
    await audited(store);
    a.close();
  });
});
