// Kill -9 storms: the agent of a lab host dies at any moment of parallel ADDs and DELs and starts
// again; then the datastore, the kernel and the pods must say the same about who lives, within
// seconds of the start and without anybody's help.
import { setTimeout } from 'node:timers/promises';
import { auditIpam } from '../../src/ipam/audit.ts';
import { strictProblems } from '../golden/strict-types.ts';
import { attempt, run, runAsync } from '../lab/command.ts';
import { CONFIG, ended, type Lab, type LabPod, type NewPod } from '../lab/lab.ts';
import { items } from '../lab/stored.ts';
import { Random } from '../simulation/random.ts';

/** A leak is what is left so long after the agent says that it is ready. */
export const RECLAIMED_WITHIN_MILLISECONDS = 5_000;
const ADDS = 6;
/** Calls begin within this time, and the agent dies within the other. */
const CALLS_BEGIN_MILLISECONDS = 30;
const DIES_WITHIN_MILLISECONDS = 160;
/** So often it dies once more while it starts. */
const DIES_AGAIN = 0.2;
const STARTS_MILLISECONDS = 1_500;
const HANDLE = '/calico/ipam/v2/handle/';
const ENDPOINT = '/calico/resources/v3/projectcalico.org/workloadendpoints/default/';

export interface Figures {
  rounds: number;
  kills: number;
  adds: number;
  dels: number;
  /** Calls that the death of the agent left without an answer. */
  unanswered: number;
  forgotten: number;
  /** Milliseconds until everything agreed, a round each: since the agent was ready. */
  readonly settled: number[];
  /** The same since its process was started. */
  readonly sinceStart: number[];
}

/**
 * `again`: the call is repeated (ADD of the same container; DEL until it succeeds).
 * `undone`: DEL, as a runtime does after a failed ADD.
 * `forgotten`: the namespace goes and nobody calls again, as when the runtime ran out of time.
 */
type Fate = 'again' | 'undone' | 'forgotten';

interface Coming {
  readonly pod: NewPod;
  readonly call: Promise<LabPod | undefined>;
}

export class Storm {
  readonly figures: Figures = {
    rounds: 0,
    kills: 0,
    adds: 0,
    dels: 0,
    unanswered: 0,
    forgotten: 0,
    settled: [],
    sinceStart: [],
  };
  private readonly lab: Lab;
  private readonly random: Random;
  private living: readonly LabPod[] = [];

  constructor(lab: Lab, seed: number) {
    this.lab = lab;
    this.random = new Random(seed);
  }

  /** Throws with what disagrees. Starts the agent if it does not run. */
  async round(): Promise<void> {
    const { lab, random, figures } = this;
    const host = lab.host(0);
    const number = figures.rounds++;
    if (!host.agent) await host.startAgent();
    const pods = Array.from({ length: ADDS }, (_, i) => lab.newPod(`r${number}x${i}`));
    const coming = pods.map((pod): Coming => ({ pod, call: this.add(pod, this.soon()) }));
    const leaving = this.living.filter(() => random.chance(0.5));
    const going = leaving.map((pod) => this.delete(pod, this.soon()));
    figures.adds += coming.length;
    figures.dels += going.length;
    await setTimeout(random.next() * DIES_WITHIN_MILLISECONDS);
    await this.kill();
    const added = await Promise.all(coming.map(({ call }) => call));
    const deleted = await Promise.all(going);
    const cut = pods.filter((_, i) => !added[i]);
    const kept = leaving.filter((_, i) => !deleted[i]);
    figures.unanswered += cut.length + kept.length;
    const fates = new Map<NewPod, Fate>([
      ...cut.map((pod) => [pod, random.of<Fate>(['again', 'undone', 'forgotten'])] as const),
      ...kept.map((pod) => [pod, random.of<Fate>(['again', 'forgotten'])] as const),
    ]);
    for (const [pod, fate] of fates) if (fate === 'forgotten') this.forget(pod);
    const start = await this.restart();
    const ready = performance.now();
    const survivors = this.living.filter((pod) => !leaving.includes(pod));
    survivors.push(...added.flatMap((pod) => pod ?? []));
    survivors.push(...(await this.finish(cut, kept, fates)));
    for (const [i, pod] of leaving.entries()) if (deleted[i]) await removeNamespace(pod);
    this.living = survivors;
    await this.settles(ready);
    figures.sinceStart.push(performance.now() - start);
  }

  /** Everybody leaves. */
  async calm(): Promise<void> {
    for (const pod of this.living) {
      if (!(await this.delete(pod, 0))) throw new Error(`DEL ${pod.name} failed without a reason`);
      await removeNamespace(pod);
    }
    this.living = [];
    await this.settles(performance.now());
  }

  private soon(): number {
    return this.random.next() * CALLS_BEGIN_MILLISECONDS;
  }

  private async kill(): Promise<void> {
    this.figures.kills++;
    await ended(this.lab.host(0).agent!, 'SIGKILL');
  }

  /** Answers when the process that lasts was started, by performance.now(). */
  private async restart(): Promise<number> {
    const host = this.lab.host(0);
    if (this.random.chance(DIES_AGAIN)) {
      const starting = host.startAgent().catch(() => undefined);
      await setTimeout(this.random.next() * STARTS_MILLISECONDS);
      await this.kill();
      void starting; // it looks for an agent until the next one answers
    }
    const started = performance.now();
    await host.startAgent();
    return started;
  }

  private async finish(
    cut: readonly NewPod[],
    kept: readonly LabPod[],
    fates: ReadonlyMap<NewPod, Fate>,
  ): Promise<readonly LabPod[]> {
    const repeated = await Promise.all(
      cut.map(async (pod) => {
        if (fates.get(pod) === 'again') return this.mustAdd(pod);
        if (fates.get(pod) === 'undone') await this.mustDelete(pod);
        return undefined;
      }),
    );
    for (const pod of kept) if (fates.get(pod) === 'again') await this.mustDelete(pod);
    return repeated.flatMap((pod) => pod ?? []);
  }

  private forget(pod: NewPod): void {
    this.figures.forgotten++;
    run(['ip', 'netns', 'delete', pod.netns]);
  }

  private async mustAdd(pod: NewPod): Promise<LabPod> {
    const added = await this.add(pod, 0);
    if (!added) throw new Error(`ADD ${pod.name} again failed\n${this.lab.host(0).log('agent')}`);
    return added;
  }

  private async mustDelete(pod: NewPod): Promise<void> {
    if (!(await this.delete(pod, 0)))
      throw new Error(`DEL ${pod.name} again failed\n${this.lab.host(0).log('agent')}`);
    await removeNamespace(pod);
  }

  // Undefined: no answer, or an error.
  private async add(pod: NewPod, after: number): Promise<LabPod | undefined> {
    const stdout = await this.call('ADD', pod, after);
    if (stdout === undefined) return undefined;
    const result = JSON.parse(stdout) as { ips: { address: string }[] };
    return { ...pod, ip: result.ips[0]!.address.replace('/32', ''), result };
  }

  private async delete(pod: NewPod, after: number): Promise<boolean> {
    return (await this.call('DEL', pod, after)) !== undefined;
  }

  private async call(
    command: 'ADD' | 'DEL',
    pod: NewPod,
    after: number,
  ): Promise<string | undefined> {
    await setTimeout(after);
    try {
      const reply = await this.lab.host(0).cni(this.lab.environment(command, pod), CONFIG);
      return reply.exit === 0 ? reply.stdout : undefined;
    } catch {
      return undefined; // nobody listens, or the connection broke
    }
  }

  private async settles(since: number): Promise<void> {
    for (;;) {
      const wrong = await this.disagreements();
      const elapsed = performance.now() - since;
      if (wrong.length === 0) return void this.figures.settled.push(elapsed);
      if (elapsed > RECLAIMED_WITHIN_MILLISECONDS)
        throw new Error(
          `round ${this.figures.rounds}, ${Math.round(elapsed)} ms after the agent was ready:\n${wrong.join('\n')}`,
        );
      await setTimeout(50);
    }
  }

  /** What datastore, kernel and pods do not say alike; nothing when all is well. */
  private async disagreements(): Promise<readonly string[]> {
    const { lab, living } = this;
    const host = lab.host(0);
    const stored = await items(lab);
    const under = (prefix: string) => stored.filter(({ key }) => key.startsWith(prefix));
    const wanted = living.map(({ containerId }) => `${HANDLE}k8s-pod-network.${containerId}`);
    const endpoints = under(ENDPOINT).flatMap(({ value }) => addressesIn(value));
    const links = host.exec(['ip', '-br', 'link']).match(/^cali[0-9a-f]+/gm) ?? [];
    const routes = host.routes().match(/^\S+(?= dev cali)/gm) ?? [];
    const ips = living.map(({ ip }) => ip);
    return [
      ...auditIpam(stored),
      ...strictProblems(stored),
      ...differences('address of two pods', [...new Set(ips)], ips),
      ...differences(
        'handle',
        wanted,
        under(HANDLE).map(({ key }) => key),
      ),
      ...differences('endpoint', ips, endpoints),
      ...differences('route', ips, routes),
      ...(links.length === ips.length ? [] : [`${links.length} links for ${ips.length} pods`]),
      ...living.filter((pod) => !hasAddress(pod)).map(({ name, ip }) => `${name} has no ${ip}`),
    ];
  }
}

const addressesIn = (endpoint: string): readonly string[] =>
  (JSON.parse(endpoint) as { spec: { ipNetworks: string[] } }).spec.ipNetworks.map((network) =>
    network.replace('/32', ''),
  );

const hasAddress = ({ netns, ip }: LabPod): boolean =>
  attempt(['ip', '-n', netns, '-br', 'addr', 'show', 'eth0']).output.includes(` ${ip}/32`);

function differences(
  what: string,
  wanted: readonly string[],
  found: readonly string[],
): readonly string[] {
  const [left, missing] = [[...found], [] as string[]];
  for (const one of wanted) {
    const at = left.indexOf(one);
    if (at < 0) missing.push(one);
    else left.splice(at, 1);
  }
  return [
    ...left.map((one) => `${what} ${one} is too much`),
    ...missing.map((one) => `${what} ${one} is missing`),
  ];
}

const removeNamespace = (pod: NewPod): Promise<unknown> =>
  runAsync(['ip', 'netns', 'delete', pod.netns]);
