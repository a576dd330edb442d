// Random worlds on a real packet filter: the policy engine writes the rules, pods in namespaces send
// the probes. One engine takes all worlds after each other, so that its changes are proved too.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { PolicyModel } from '../../src/policy/explain/model.ts';
import { type Pod, withPods } from '../scenarios/policy-pods.ts';
import { Chance } from './chance.ts';
import type { Arrival, ProberAnswer, ProberOrder, SentProbe } from './prober.ts';
import { evaluated, probesOf } from './probes.ts';
import { arrives, type Probe } from './reference.ts';
import { storedWorld } from './stored-world.ts';
import { PORTS, randomWorld, type WorldPod } from './world.ts';

export interface Differential {
  readonly worlds: number;
  readonly probes: number;
  readonly allowed: number;
  /** What disagreed, with the seed. */
  readonly differences: readonly string[];
}

const PROBES = 24;
/** Probes are on their way at once; what is late is asked again with patience. */
const WAIT_MS = 5;
const PATIENCE_MS = 300;

class Prober {
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  static async open({ netns }: Pod): Promise<Prober> {
    const script = join(import.meta.dirname, 'prober.ts');
    const argv = ['netns', 'exec', netns.name, process.execPath, script, ...PORTS.map(String)];
    const child = spawn('ip', argv, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new Prober(child);
  }

  async ask(order: ProberOrder): Promise<ProberAnswer> {
    const answer = once(this.child, 'message') as Promise<[ProberAnswer]>;
    this.child.send(order);
    return (await answer)[0];
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null)
      await once(this.child, 'exit');
  }
}

/** Worlds from a seed on, until `goesOn` says no or something disagrees. */
export async function differential(
  firstSeed: number,
  goesOn: (worlds: number) => boolean,
): Promise<Differential> {
  const sum = { worlds: 0, probes: 0, allowed: 0, differences: [] as string[] };
  await withPods(['a', 'b', 'c'], async ({ pods, start }) => {
    const probers = new Map<string, Prober>();
    try {
      for (const pod of pods) probers.set(pod.name, await Prober.open(pod));
      const engine = start([]);
      const asker = new Asker(probers);
      for (let seed = firstSeed; goesOn(sum.worlds) && sum.differences.length === 0; seed++) {
        const chance = new Chance(seed);
        const world = randomWorld(chance);
        const items = storedWorld(world);
        engine.snapshot(items);
        for (const { key, value } of items.filter(({ key }) => key.includes('/workloadendpoints/')))
          await engine.putEndpoint(key, value);
        const model = new PolicyModel();
        for (const { key, value } of items) model.put(key, value);
        const probes = probesOf(world, chance, PROBES);
        const seen = await asker.ask(probes, (probe) => arrives(world, probe));
        for (const [i, probe] of probes.entries()) {
          const verdicts = {
            kernel: seen[i]!,
            evaluator: evaluated(model, probe),
            reference: arrives(world, probe),
          };
          if (new Set(Object.values(verdicts)).size > 1)
            sum.differences.push(`seed ${seed}: ${wordsOf(probe)} ${JSON.stringify(verdicts)}`);
          if (verdicts.reference) sum.allowed++;
        }
        sum.worlds++;
        sum.probes += probes.length;
      }
    } finally {
      for (const prober of probers.values()) await prober.close();
    }
  });
  return sum;
}

const wordsOf = ({ from, to, family, protocol, port }: Probe): string =>
  `${from.name} -> ${to.name} IPv${family} ${protocol} ${port}`;

class Asker {
  private readonly probers: ReadonlyMap<string, Prober>;
  private port = 0;

  constructor(probers: ReadonlyMap<string, Prober>) {
    this.probers = probers;
  }

  /** Which probes arrive. Those that answer otherwise than expected are asked twice. */
  async ask(
    probes: readonly Probe[],
    expected: (probe: Probe) => boolean,
  ): Promise<readonly boolean[]> {
    const first = await this.send(probes, WAIT_MS);
    const odd = probes.filter((probe, i) => first[i] !== expected(probe));
    if (odd.length === 0) return first;
    const again = await this.send(odd, PATIENCE_MS);
    return probes.map((probe, i) => (odd.includes(probe) ? again[odd.indexOf(probe)]! : first[i]!));
  }

  private async send(probes: readonly Probe[], waitMs: number): Promise<readonly boolean[]> {
    const sent = probes.map((probe): SentProbe & { readonly probe: Probe } => {
      this.port = (this.port + 1) % 40_000;
      const { to, family, protocol, port } = probe;
      const sourcePort = 20_000 + this.port;
      return { probe, address: addressOf(to, family), protocol, port, sourcePort };
    });
    const orders = Map.groupBy(sent, ({ probe }) => probe.from.name);
    await Promise.all(
      [...orders].map(([name, mine]) => {
        const own = mine.map(({ probe: _, ...one }) => one);
        return this.probers.get(name)!.ask({ kind: 'send', probes: own });
      }),
    );
    await setTimeout(waitMs);
    const arrived = new Map<string, ReadonlySet<Arrival>>();
    for (const [name, prober] of this.probers) {
      const answer = await prober.ask({ kind: 'collect' });
      arrived.set(name, new Set(answer.kind === 'arrived' ? answer.arrivals : []));
    }
    return sent.map(({ probe: { from, to, family }, protocol, port, sourcePort }) =>
      arrived.get(to.name)!.has(`${addressOf(from, family)} ${protocol} ${port} ${sourcePort}`),
    );
  }
}

const addressOf = (pod: WorldPod, family: 4 | 6): string => pod.addresses[family === 4 ? 0 : 1]!;
