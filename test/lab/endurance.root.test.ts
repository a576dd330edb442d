// What only shows in the long run: thousands of pods that come and go. CALICO_CYCLES lengthens it.
// (Agents that are killed while they work: test/storm.)
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { auditIpam } from '../../src/ipam/audit.ts';
import { eventually, run } from './command.ts';
import { CONFIG, type Lab, openLab } from './lab.ts';
import { items, keys } from './stored.ts';

const CYCLES = Number(process.env['CALICO_CYCLES'] ?? 1000);

/** Connections come and go. */
const DESCRIPTORS_SLACK = 8;

/** What the agent may grow in CYCLES: a kibibyte that each pod leaves behind is a leak. */
const GROWTH_KIB = 1024;

/**
 * The allocator takes pages ahead and the compiler goes on working, so that a stretch may grow without a
 * leak. A leak grows in every stretch.
 */
const STRETCHES_MAX = 5;

const podLinks = (lab: Lab): readonly string[] =>
  lab
    .host(0)
    .exec(['ip', '-br', 'link'])
    .split('\n')
    .filter((line) => line.startsWith('cali'));

/** Nothing of any pod is left: not in the datastore, not on the machine. */
async function assertNothingLeft(lab: Lab): Promise<void> {
  assert.deepEqual(await keys(lab, '/calico/ipam/v2/handle/'), []);
  assert.deepEqual(auditIpam(await items(lab)), []);
  await eventually('links are removed', () => podLinks(lab).length === 0, 20_000);
}

describe('pods come and go', { timeout: 60_000 + CYCLES * 200 }, () => {
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
    const before = descriptorsOf(pid);
    const resident = [memoryOf(pid)];
    const grown = (): number => (resident.at(-1) ?? 0) - (resident.at(-2) ?? 0);
    do {
      await cycle(CYCLES);
      resident.push(memoryOf(pid));
    } while (grown() > GROWTH_KIB && resident.length <= STRETCHES_MAX);
    const now = descriptorsOf(pid);
    t.diagnostic(`descriptors ${before} -> ${now}, resident ${resident.join(' -> ')} KiB`);
    assert.ok(now <= before + DESCRIPTORS_SLACK, 'descriptors leak');
    assert.ok(grown() <= GROWTH_KIB, `memory leaks: ${resident.join(' -> ')} KiB`);
    await assertNothingLeft(lab);
    assert.equal(
      run(['ip', 'netns', 'list'])
        .split('\n')
        .filter((line) => line.startsWith(lab.prefix) && line.includes('-p-')).length,
      pods.length,
    );
  });
});

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const memoryOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
