import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MemoryStore, memoryStore } from '../datastore/memory.ts';
import type { Ip } from '../net/ip.ts';
import { addPool } from './allocator.cases.ts';
import {
  add,
  checkEmpty,
  checkWorld,
  type Mortal,
  mortal,
  type Node,
  remove,
  startNode,
} from './chaos.cases.ts';

async function tinyWorld(): Promise<MemoryStore> {
  const world = memoryStore();
  await addPool(world, '10.0.0.0/28', { blockSize: 30 });
  return world;
}

// Claims two blocks, fills the first, frees, takes again, shares a transaction.
async function script(world: MemoryStore, node: Node, answered: Map<string, Ip>): Promise<void> {
  const added = async (pod: string): Promise<void> => {
    const ip = await add(world, node, pod);
    if (ip) answered.set(pod, ip);
  };
  const removed = async (pod: string): Promise<void> => {
    answered.delete(pod);
    await remove(world, node, pod);
  };
  await added('p1');
  await Promise.all(['p2', 'p3', 'p4', 'p5', 'p6'].map(added));
  await removed('p2');
  await Promise.all([added('p7'), removed('p3'), removed('p3'), added('p1')]);
  await removed('p7');
}

test('death at every step: no duplicate, and DEL by the next process leaves nothing', async () => {
  let finished = false;
  let deaths = 0;
  for (let diesAt = 0; !finished; diesAt++) {
    const world = await tinyWorld();
    const store: Mortal = mortal(world, diesAt);
    const node = await startNode('a', store);
    const answered = new Map<string, Ip>();
    await script(world, node, answered);
    node.allocator.close();
    finished = !store.dead;
    if (store.dead) deaths++;
    await checkWorld(world, answered);
    const [next, other] = [
      await startNode('a', mortal(world)),
      await startNode('b', mortal(world)),
    ];
    for (const pod of ['q1', 'q2', 'q3', 'q4', 'q5']) {
      const ip = await add(world, other, pod);
      assert.ok(ip, `${pod} after death at ${diesAt}`);
      answered.set(pod, ip);
    }
    await checkWorld(world, answered);
    for (const pod of ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'])
      assert.ok(await remove(world, next, pod), `${pod} after death at ${diesAt}`);
    for (const pod of ['q1', 'q2', 'q3', 'q4', 'q5']) await remove(world, other, pod);
    await checkEmpty(world);
    await checkWorld(world, new Map());
    for (const { allocator } of [next, other]) allocator.close();
  }
  assert.ok(deaths > 15, `${deaths} deaths`);
});
