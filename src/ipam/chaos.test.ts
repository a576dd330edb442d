import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
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

/** Ticks of waiting, from a seed: how the processes interleave. */
function pauses(seed: number): () => Promise<void> {
  let state = seed >>> 0;
  return async () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    for (let ticks = state >>> 29; ticks > 0; ticks--) await Promise.resolve();
  };
}

const ATTEMPTS_MAX = 100;
const PODS_PER_NODE = 8; // three nodes ask for 24 of 16 addresses
const operation = fc.record({
  node: fc.integer({ min: 0, max: 2 }),
  pod: fc.integer({ min: 0, max: PODS_PER_NODE - 1 }),
  remove: fc.boolean(),
  fault: fc.constantFrom('none', 'none', 'none', 'none', 'lostReply', 'unreachable', 'die'),
  diesIn: fc.integer({ min: 0, max: 5 }),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** The nodes and what they were told. */
class Cluster {
  readonly world: MemoryStore;
  readonly answered = new Map<string, Ip>();
  private readonly nodes: Node[] = [];
  private readonly pause: () => Promise<void>;

  constructor(world: MemoryStore, seed: number) {
    this.world = world;
    this.pause = pauses(seed);
  }

  async start(index: number, diesAt?: number): Promise<void> {
    this.nodes[index]?.allocator.close();
    const name = `node-${index}`;
    this.nodes[index] = await startNode(name, mortal(this.world, diesAt, this.pause));
  }

  /** Operations of one round run at the same time, each pod in one of them only. */
  async round(operations: readonly Operation[]): Promise<void> {
    const seen = new Set<string>();
    const mine = operations.filter(({ node, pod }) => {
      const name = `${node}x${pod}`;
      return !seen.has(name) && seen.add(name);
    });
    for (const { node, fault, diesIn } of mine) {
      if (fault === 'die') await this.start(node, diesIn);
      else if (fault !== 'none') this.world.failNext('transaction', fault);
    }
    await Promise.all(mine.map((one) => this.run(one)));
    for (const [index, { store }] of this.nodes.entries()) {
      if (store.dead) await this.start(index);
    }
  }

  private async run({ node: index, pod, remove: gone }: Operation): Promise<void> {
    const name = `${index}x${pod}`;
    const node = this.nodes[index]!;
    if (gone) {
      this.answered.delete(name);
      await remove(this.world, node, name);
      return;
    }
    const before = this.answered.get(name);
    const ip = await add(this.world, node, name);
    if (ip) this.answered.set(name, ip);
    if (ip && before) assert.equal(ip, before, 'a repeated ADD keeps its address');
  }

  // As a runtime does: DEL until it succeeds. Faults that nobody met yet are met here.
  private async removeAtLast(node: Node, pod: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (await remove(this.world, node, pod)) return;
    }
    assert.fail(`${pod} cannot be removed`);
  }

  async end(): Promise<void> {
    for (const index of this.nodes.keys()) {
      await this.start(index);
      for (let pod = 0; pod < PODS_PER_NODE; pod++) {
        await this.removeAtLast(this.nodes[index]!, `${index}x${pod}`);
      }
    }
    await checkEmpty(this.world);
    for (const { allocator } of this.nodes) allocator.close();
  }
}

test('three nodes, any interleaving, deaths and lost replies: every invariant holds', async () => {
  const rounds = fc.array(fc.array(operation, { minLength: 1, maxLength: 12 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(rounds, fc.nat(), async (plan, seed) => {
      const cluster = new Cluster(await tinyWorld(), seed);
      for (const index of [0, 1, 2]) await cluster.start(index);
      for (const operations of plan) {
        await cluster.round(operations);
        await checkWorld(cluster.world, cluster.answered);
      }
      await cluster.end();
    }),
    { numRuns: 150 },
  );
});
