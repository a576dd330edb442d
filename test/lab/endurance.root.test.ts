// What only shows in the long run: agents that are killed while they work, and thousands of pods that
// come and go. CALICO_STORM_ROUNDS and CALICO_CYCLES lengthen it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { auditIpam } from '../../src/ipam/audit.ts';
import { attempt, eventually, run } from './command.ts';
import { CONFIG, ended, type Lab, type LabPod, type NewPod, openLab } from './lab.ts';
import { items, keys } from './stored.ts';

const STORM_ROUNDS = Number(process.env['CALICO_STORM_ROUNDS'] ?? 20);
const CYCLES = Number(process.env['CALICO_CYCLES'] ?? 1000);

/** Connections come and go, and the allocator's pages are not all full. */
const SLACK = { descriptors: 8, kib: 4096 };

const podLinks = (lab: Lab): readonly string[] =>
  lab
    .host(0)
    .exec(['ip', '-br', 'link'])
    .split('\n')
    .filter((line) => line.startsWith('cali'));

/** Nothing of any pod is left: not in the datastore, not on the machine. */
async function assertNothingLeft(lab: Lab, living: readonly LabPod[] = []): Promise<void> {
  const wanted = living.map(({ containerId }) => `k8s-pod-network.${containerId}`).sort();
  assert.deepEqual(await keys(lab, '/calico/ipam/v2/handle/'), wanted);
  assert.deepEqual(auditIpam(await items(lab)), []);
  await eventually('links are removed', () => podLinks(lab).length === living.length, 20_000);
}

describe('kill -9 at any moment', { timeout: 30_000 + STORM_ROUNDS * 10_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab(1);
  });
  after(() => lab?.stop());

  test(`${STORM_ROUNDS} rounds: no address twice, nothing leaks`, async (t) => {
    const host = lab.host(0);
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SEED=${seed}`);
    const random = generator(seed);
    let living: LabPod[] = [];
    for (let round = 0; round < STORM_ROUNDS; round++) {
      await host.startAgent();
      const coming = Array.from({ length: 6 }, (_, i) => lab.newPod(`s${round}x${i}`));
      const leaving = living.filter(() => random() < 0.5);
      const calls = [
        ...coming.map((pod) => host.cni(lab.environment('ADD', pod), CONFIG)),
        ...leaving.map((pod) => host.cni(lab.environment('DEL', pod), CONFIG)),
      ].map((call) => call.catch(() => undefined));
      await setTimeout(random() * 60);
      await ended(host.agent!, 'SIGKILL');
      const answers = await Promise.all(calls);
      await host.startAgent();
      // What was answered well lives; for the rest the runtime calls DEL, or ADD again.
      const survivors = living.filter((pod) => !leaving.includes(pod));
      for (const [i, pod] of coming.entries()) {
        const answer = answers[i];
        if (answer?.exit === 0)
          survivors.push({
            ...pod,
            ip: addressIn(answer.stdout),
            result: JSON.parse(answer.stdout),
          });
        else if (random() < 0.5) await remove(lab, pod);
        else {
          await remove(lab, pod);
          survivors.push(await lab.addPod(host, `again-${pod.name}`));
        }
      }
      for (const pod of leaving) await remove(lab, pod);
      living = survivors;
      assert.equal(new Set(living.map(({ ip }) => ip)).size, living.length, `round ${round}`);
      const routes = host.routes();
      for (const { ip } of living) assert.match(routes, new RegExp(`^${ip} dev cali`, 'm'));
      if (round % 10 === 9) await assertNothingLeft(lab, living);
      await ended(host.agent!, 'SIGKILL');
    }
    await host.startAgent();
    for (const pod of living) await remove(lab, pod);
    await assertNothingLeft(lab);
  });
});

describe('pods come and go', { timeout: 60_000 + CYCLES * 100 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab(1);
  });
  after(() => lab?.stop());

  test(`${CYCLES} cycles leave no descriptor, link, namespace or memory behind`, async (t) => {
    const host = lab.host(0);
    // Collected whole and often, so that what is resident is what is held.
    await host.startAgent({}, ['--gc-global', '--max-semi-space-size=4']);
    const pods = Array.from({ length: 8 }, (_, i) => lab.newPod(`c${i}`));
    let number = 0;
    const cycle = async (count: number): Promise<void> => {
      await Promise.all(
        pods.map(async (pod) => {
          for (let i = 0; i < count / pods.length; i++) {
            const name = `${pod.name}-${++number}`;
            const one = { ...pod, name, containerId: `cid-${name}` };
            for (const command of ['ADD', 'DEL']) {
              const reply = await host.cni(lab.environment(command, one), CONFIG);
              assert.equal(reply.exit, 0, reply.stdout);
            }
          }
        }),
      );
      await eventually('links are removed', () => podLinks(lab).length === 0, 20_000);
    };
    const pid = host.agent!.pid!;
    await cycle(CYCLES); // caches and compiled code are there
    const before = { descriptors: descriptorsOf(pid), memory: memoryOf(pid) };
    await cycle(CYCLES);
    const now = { descriptors: descriptorsOf(pid), memory: memoryOf(pid) };
    t.diagnostic(
      `descriptors ${before.descriptors} -> ${now.descriptors}, resident ${before.memory} -> ${now.memory} KiB`,
    );
    assert.ok(now.descriptors <= before.descriptors + SLACK.descriptors, 'descriptors leak');
    assert.ok(now.memory <= before.memory + SLACK.kib, 'memory leaks');
    await assertNothingLeft(lab);
    assert.equal(
      run(['ip', 'netns', 'list'])
        .split('\n')
        .filter((line) => line.startsWith(lab.prefix) && line.includes('-p-')).length,
      pods.length,
    );
  });
});

async function remove(lab: Lab, pod: NewPod): Promise<void> {
  const reply = await lab.deletePod(lab.host(0), pod);
  assert.equal(reply.exit, 0, reply.stdout);
  attempt(['ip', 'netns', 'delete', pod.netns]);
}

const addressIn = (result: string): string =>
  (JSON.parse(result) as { ips: { address: string }[] }).ips[0]!.address.replace('/32', '');

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const memoryOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** Mulberry32: numbers in [0, 1) from a seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
