import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { type MemoryTables, memoryTables } from '../../kernel/memory-tables.ts';
import type { WholeObject } from '../../kubernetes/api.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import type { WantedTable } from '../../services/write/plan.ts';
import { ServiceEngine, type ServiceEngineOptions, type SyncRound } from './engine.io.ts';

const NONE: WantedTable = { chains: new Map(), hooks: new Map() };

/** Each service: a rule in nat's list and a chain, with a rule for each of its slices. */
function stubModel() {
  const services = new Map<string, WholeObject>();
  const slices = new Map<string, WholeObject>();
  const keyOf = ({ metadata }: WholeObject): string => `${metadata.namespace}/${metadata.name}`;
  const chainOf = (name: string): string => `KUBE-SVC-${name}`;
  return {
    putService: (object: WholeObject) => void services.set(keyOf(object), object),
    removeService: (key: string) => void services.delete(key),
    putSlice: (object: WholeObject) => void slices.set(keyOf(object), object),
    removeSlice: (key: string) => void slices.delete(key),
    putNode: () => undefined,
    removeNode: () => undefined,
    wanted: () => {
      const names = [...services.values()].map(({ metadata }) => metadata.name);
      const rulesOf = (name: string) =>
        [...slices.values()]
          .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
          .map(({ metadata }) => `-m comment --comment ${metadata.name} -j RETURN`);
      const nat: WantedTable = {
        chains: new Map([
          [
            'KUBE-SERVICES',
            [...names.map((name) => `-d 10.96.0.1 -j ${chainOf(name)}`), '-j LAST'],
          ],
          ...names.map((name) => [chainOf(name), rulesOf(name)] as const),
        ]),
        hooks: new Map([['PREROUTING', ['-j KUBE-SERVICES']]]),
      };
      return { filter: NONE, nat };
    },
  };
}

const service = (name: string): WholeObject => ({ metadata: { name, namespace: 'default' } });
const slice = (name: string, of: string): WholeObject => ({
  metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': of } },
});

async function fixture(
  options: Partial<ServiceEngineOptions> = {},
  tables: MemoryTables = memoryTables(),
) {
  const kubernetes = memoryKubernetes();
  const rounds: SyncRound[] = [];
  let heard = Promise.withResolvers<void>();
  const engine = new ServiceEngine({
    node: 'n1',
    model: stubModel(),
    kubernetes,
    tables,
    ipv6Tables: undefined,
    takeOver: false,
    log: openLog('test', 'silent'),
    kubeProxyRuns: async () => false,
    observer: {
      synced: (_family, round) => {
        rounds.push(round);
        heard.resolve();
        heard = Promise.withResolvers();
      },
      failed: () => undefined,
    },
    groupMilliseconds: 20,
    ...options,
  });
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await heard.promise;
  };
  const chains = async () => new Map([...(await tables.read('nat'))]);
  return { engine, kubernetes, tables, rounds, until, chains };
}

test('nothing is written before all lists are complete', async () => {
  const kubernetes = memoryKubernetes();
  const watch = kubernetes.watch.bind(kubernetes);
  let tellSlices = (): void => undefined;
  const late = {
    ...kubernetes,
    watch: ((kind, watcher, options) => {
      if (kind === 'wholeendpointslices') tellSlices = () => watch(kind, watcher, options);
      else watch(kind, watcher, options);
    }) as typeof kubernetes.watch,
  };
  kubernetes.put('wholeservices', service('a'));
  const { engine, tables } = await fixture({ kubernetes: late });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(tables.commits, 0);
  assert.match(engine.problem ?? '', /waiting for the first list of EndpointSlices/);
  tellSlices();
  await engine.inSync();
  assert.equal(tables.commits, 1);
  assert.equal(engine.problem, undefined);
  await engine.close();
});

test('a storm of changes is some rounds, each with the chains that changed', async () => {
  const { engine, kubernetes, rounds, until, chains } = await fixture();
  for (const name of ['a', 'b']) kubernetes.put('wholeservices', service(name));
  await engine.inSync();
  for (let i = 0; i < 500; i++) kubernetes.put('wholeendpointslices', slice(`a-${i}`, 'a'));
  await until(() => rounds.length >= 2);
  assert.equal((await chains()).get('KUBE-SVC-a')!.length, 500);
  assert.ok(rounds.length <= 3, `${rounds.length} rounds`);
  kubernetes.remove('wholeservices', 'b', 'default');
  await until(() => rounds.at(-1)!.lines === 3);
  assert.deepEqual(
    [...(await chains()).keys()].filter((name) => name.startsWith('KUBE-SVC')),
    ['KUBE-SVC-a'],
  );
  await engine.close();
});

test('many changes that come while a few are written wait for the second to end', async () => {
  const groupMilliseconds = 300;
  const tables = memoryTables();
  const commit = tables.commit.bind(tables);
  let gate = Promise.resolve();
  let begun = Promise.withResolvers<void>();
  tables.commit = async (transaction) => {
    begun.resolve();
    await gate;
    return commit(transaction);
  };
  const { engine, kubernetes, rounds, until } = await fixture({ groupMilliseconds }, tables);
  kubernetes.put('wholeservices', service('a'));
  await engine.inSync();
  const held = Promise.withResolvers<void>();
  [gate, begun] = [held.promise, Promise.withResolvers()];
  const startedAt = performance.now();
  kubernetes.put('wholeendpointslices', slice('first', 'a'));
  await begun.promise;
  for (let i = 0; i < 50; i++) kubernetes.put('wholeendpointslices', slice(`a-${i}`, 'a'));
  held.resolve();
  await until(() => rounds.at(-1)!.changes.endpoints === 50);
  assert.ok(performance.now() - startedAt >= groupMilliseconds);
  assert.equal(rounds.at(-2)!.changes.endpoints, 1);
  await engine.close();
});

test('what others flush is written again; a refusal is tried again', async () => {
  const { engine, kubernetes, tables, rounds, until, chains } = await fixture({
    checkMilliseconds: 5,
  });
  kubernetes.put('wholeservices', service('a'));
  await until(() => rounds.some(({ lines }) => lines > 0));
  tables.failNext();
  tables.flush('nat');
  const before = tables.commits;
  await until(() => tables.commits > before);
  assert.deepEqual((await chains()).get('KUBE-SERVICES'), [
    '-d 10.96.0.1 -j KUBE-SVC-a',
    '-j LAST',
  ]);
  await engine.close();
});

const kubeProxys = async (): Promise<MemoryTables> => {
  const tables = memoryTables();
  const lines = [
    ':KUBE-PROXY-CANARY - [0:0]',
    ':KUBE-SERVICES - [0:0]',
    ':KUBE-SVC-gone - [0:0]',
    '-A KUBE-SERVICES -d 10.96.0.9 -j KUBE-SVC-gone',
    '-A PREROUTING -j KUBE-SERVICES',
  ];
  await tables.commit({ table: 'nat', lines });
  return tables;
};

test('beside a kube-proxy that answers nothing is written', async () => {
  const tables = await kubeProxys();
  const asked = Promise.withResolvers<void>();
  const kubeProxyRuns = async (): Promise<boolean> => {
    asked.resolve();
    return true;
  };
  const { engine } = await fixture({ kubeProxyRuns, checkMilliseconds: 5 }, tables);
  await asked.promise;
  await new Promise((resolve) => setImmediate(resolve));
  assert.match(engine.problem ?? '', /a kube-proxy runs on this node/);
  assert.equal(tables.commits, 1);
  await engine.close();
  assert.equal(tables.commits, 1);
});

test('what a former kube-proxy left is taken over in one transaction', async () => {
  const tables = await kubeProxys();
  const { engine, chains } = await fixture(
    { takeOver: true, kubeProxyRuns: async () => true },
    tables,
  );
  await engine.inSync();
  assert.equal(tables.commits, 2);
  assert.deepEqual(
    [...(await chains()).entries()].filter(([, rules]) => rules.length > 0),
    [
      ['PREROUTING', ['-j KUBE-SERVICES']],
      ['KUBE-SERVICES', ['-j LAST']],
    ],
  );
  assert.equal((await chains()).has('KUBE-PROXY-CANARY'), false);
  await engine.close();
});

test('a kube-proxy that comes later is told of', async () => {
  const tables = await kubeProxys();
  const { engine, rounds, until } = await fixture({ checkMilliseconds: 5 }, tables);
  await engine.inSync();
  await tables.commit({ table: 'nat', lines: [':KUBE-PROXY-CANARY - [0:0]'] });
  const seen = rounds.length;
  await until(() => rounds.length > seen + 1);
  assert.match(engine.problem ?? '', /a kube-proxy runs on this node/);
  await engine.close();
});
