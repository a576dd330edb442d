// What only shows in the long run: thousands of pods that come and go. CALICO_CYCLES lengthens it.
// (Agents that are killed while they work: test/storm.)
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AGENT_FLAGS, AGENT_MEMORY } from '../../src/deploy/constructs/calico-node.ts';
import { auditIpam } from '../../src/ipam/audit.ts';
import { eventually, run } from './command.ts';
import { HELD_MEMORY_FILE } from './held-memory.ts';
import { CONFIG, type Lab, openLab } from './lab.ts';
import { items, keys } from './stored.ts';

const CYCLES = Number(process.env['CALICO_CYCLES'] ?? 1000);

/** Connections come and go. */
const DESCRIPTORS_SLACK = 8;

/** What a pod may leave in what the agent holds after all garbage was collected: less than its name. */
const HELD_BYTES_A_POD = 100;

/** What the agent's resident memory may grow in CYCLES. */
const GROWTH_KIB = 1024;

/**
 * Of so many stretches the middle one's growth counts: V8 drops the code of the start at some time, and
 * takes pages ahead. After `most` of them it is a leak, which grows in every stretch.
 */
const STRETCHES = { compared: 3, most: 8 };

interface Memory {
  readonly heldBytes: number;
  readonly residentKib: number;
}

/** Undefined while there are too few. */
function growth(memory: readonly Memory[]): Memory | undefined {
  const last = memory.slice(-1 - STRETCHES.compared);
  if (last.length <= STRETCHES.compared) return undefined;
  const middle = (of: keyof Memory): number => {
    const steps = last.slice(1).map((now, i) => now[of] - last[i]![of]);
    return steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)]!;
  };
  return { heldBytes: middle('heldBytes'), residentKib: middle('residentKib') };
}

const isTooMuch = ({ heldBytes, residentKib }: Memory): boolean =>
  heldBytes > HELD_BYTES_A_POD * CYCLES || residentKib > GROWTH_KIB;

/** Collects the garbage of a process that has held-memory.ts in it. */
async function memoryOf(pid: number, file: string): Promise<Memory> {
  const residentKib = residentOf(pid);
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  let heldBytes = Number.NaN;
  await eventually('garbage is collected', () => {
    heldBytes = Number.parseInt(read(file), 10);
    return heldBytes > 0;
  });
  return { heldBytes, residentKib };
}

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

describe('pods come and go', { timeout: 60_000 + CYCLES * 300 }, () => {
  let lab: Lab;
  const folder = mkdtempSync(join(tmpdir(), 'ckt-endurance-'));
  before(async () => {
    lab = await openLab(1);
  });
  after(async () => {
    await lab?.stop();
    rmSync(folder, { recursive: true });
  });

  test(`${CYCLES} cycles leave no descriptor, link, namespace or memory behind`, async (t) => {
    const host = lab.host(0);
    const heldFile = join(folder, 'held');
    const env = { [AGENT_MEMORY.name]: AGENT_MEMORY.value, [HELD_MEMORY_FILE]: heldFile };
    const probe = join(import.meta.dirname, 'held-memory.ts');
    await host.startAgent(env, [...AGENT_FLAGS, '--expose-gc', '--import', probe]);
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
    const memory: Memory[] = [];
    do {
      await cycle(CYCLES);
      memory.push(await memoryOf(pid, heldFile));
    } while (isTooMuch(growth(memory) ?? ENDLESS) && memory.length < STRETCHES.most);
    const now = descriptorsOf(pid);
    const told = memory.map((m) => `${(m.heldBytes / 1024).toFixed(0)}/${m.residentKib}`);
    const text = `held/resident ${told.join(' -> ')} KiB`;
    t.diagnostic(`descriptors ${before} -> ${now}, ${text}`);
    assert.ok(now <= before + DESCRIPTORS_SLACK, 'descriptors leak');
    assert.ok(!isTooMuch(growth(memory)!), `memory leaks: ${text}`);
    await assertNothingLeft(lab);
    assert.equal(
      run(['ip', 'netns', 'list'])
        .split('\n')
        .filter((line) => line.startsWith(lab.prefix) && line.includes('-p-')).length,
      pods.length,
    );
  });
});

const ENDLESS: Memory = { heldBytes: Infinity, residentKib: Infinity };

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const residentOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // not written yet
  }
}
