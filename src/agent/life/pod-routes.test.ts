// Routes to pods that others delete or change, on memory twins in virtual time.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openLog } from '../../base/log.io.ts';
import { hostRoute } from '../../cni/plan.ts';
import type { Route } from '../../kernel/kernel.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { type Ip, ip } from '../../net/ip.ts';
import type { CniContext } from '../cni/context.ts';
import { LinkRemoval } from '../cni/del/link-removal.io.ts';
import { Turns } from '../cni/turns.ts';
import { PodRoutes } from './pod-routes.io.ts';

const [V4, V6] = [ip('192.168.1.5'), ip('fd00::5')];
const LOG = openLog('test', 'fatal');

/** So long a link that DEL marked waits for its end. */
const TIMING = {
  quietMilliseconds: 60_000,
  patienceMilliseconds: 60_000,
  repeatMilliseconds: 1000,
  most: 64,
};

/** `deaf`: the kernel's words are lost. */
async function node(t: TestContext, { deaf = false } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const kernel = memoryKernel();
  const stop = new AbortController();
  t.after(() => stop.abort());
  const host = kernel.addLink({ name: 'cali1', mtu: 1500, up: true });
  const other = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  const routeTo = (address: Ip): Route => hostRoute(host.index, address);
  kernel.apply([V4, V6].map((address) => ({ kind: 'addRoute', route: routeTo(address) })));
  const ipNetworks = ['192.168.1.5/32', 'fd00::5/128'];
  const spec = { interfaceName: 'cali1', containerID: 'c1', ipNetworks };
  const endpoints = [{ endpoint: { spec } }];
  const turns = new Turns();
  const removal = new LinkRemoval(kernel, LOG, TIMING);
  const view = { endpoints } as unknown as CniContext['view'];
  const heard = deaf ? Object.create(kernel, { subscribe: { value: () => undefined } }) : kernel;
  new PodRoutes({ kernel: heard, view, removal, turns, log: LOG }, stop.signal);
  const later = async (milliseconds: number): Promise<void> => {
    for (let i = 0; i < 5; i++) await setImmediate(); // the kernel's words arrive, an audit is read
    t.mock.timers.tick(milliseconds);
    await setImmediate();
  };
  await later(0);
  await later(0);
  const shown = () =>
    kernel.routes().map((r) => `${r.destination} ${r.kind} ${r.linkIndex} ${r.protocol}`);
  const good = shown();
  return { kernel, host, other, routeTo, endpoints, turns, removal, later, shown, good };
}

test('deleted, led elsewhere or turned into a blackhole: all is as before', async (t) => {
  const { kernel, other, routeTo, later, shown, good } = await node(t);
  assert.equal(good.length, 2);
  for (const address of [V4, V6]) {
    const route = routeTo(address);
    const { linkIndex: _, ...nowhere } = route;
    const elsewhere = { ...route, linkIndex: other.index };
    for (const damage of [
      [{ kind: 'deleteRoute', route }],
      [{ kind: 'replaceRoute', route: elsewhere }],
      [{ kind: 'replaceRoute', route: { ...elsewhere, protocol: 4 } }],
      [
        { kind: 'deleteRoute', route },
        { kind: 'addRoute', route: { ...nowhere, kind: 'blackhole', scope: 'global' } },
      ],
    ] as const) {
      kernel.apply(damage);
      assert.notDeepEqual(shown(), good);
      await later(200);
      assert.deepEqual(shown().toSorted(), good.toSorted(), JSON.stringify(damage));
    }
  }
});

test('a link that was down and is up again has its routes again', async (t) => {
  const { kernel, host, later, shown, good } = await node(t);
  kernel.apply([{ kind: 'setLink', index: host.index, up: false }]);
  await later(200);
  assert.deepEqual(shown(), []);
  kernel.apply([{ kind: 'setLink', index: host.index, up: true }]);
  await later(200);
  assert.deepEqual(shown(), good);
});

test('what nobody told of is found by the next audit', async (t) => {
  const { kernel, routeTo, later, shown, good } = await node(t, { deaf: true });
  kernel.apply([{ kind: 'deleteRoute', route: routeTo(V4) }]);
  await later(200);
  assert.equal(shown().length, 1);
  await later(90_000);
  await later(200);
  assert.deepEqual(shown().toSorted(), good.toSorted());
});

test('DEL is left in peace: during the call, while the link waits for its end, without a record', async (t) => {
  const { kernel, host, routeTo, endpoints, turns, removal, later, shown } = await node(t);
  const routes = [V4, V6].map(routeTo);
  const answered = Promise.withResolvers<void>();
  const call = turns.take(
    { command: 'DEL', containerId: 'c1', ifname: 'eth0', ipamOnly: false },
    () => answered.promise,
  );
  removal.doom(host, routes);
  await later(200);
  assert.deepEqual(shown(), []);
  answered.resolve();
  await call;
  // The datastore was away: the record is still there, and so is the link.
  await later(200);
  await later(200);
  assert.deepEqual([shown(), kernel.link('cali1')?.up], [[], true]);
  endpoints.length = 0;
  await removal.removeAll();
  await later(90_000);
  assert.deepEqual(shown(), []);
});

test('a newer container has the link: nothing is done for the former one', async (t) => {
  const { kernel, host, routeTo, removal, later, shown } = await node(t);
  removal.made(host, 'c2');
  kernel.apply([{ kind: 'deleteRoute', route: routeTo(V4) }]);
  await later(200);
  assert.equal(shown().length, 1);
});

test('routes to addresses of nobody here are nobody’s', async (t) => {
  const { kernel, other, routeTo, later, shown, good } = await node(t);
  const foreign = { ...routeTo(ip('10.1.1.1')), linkIndex: other.index };
  kernel.apply([{ kind: 'addRoute', route: foreign }]);
  await later(200);
  kernel.apply([{ kind: 'deleteRoute', route: foreign }]);
  await later(200);
  assert.deepEqual(shown(), good);
});
