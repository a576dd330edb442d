// One node: the process with its allocator, which dies and comes back, and the clock it believes.
import type { Clock } from '../../src/base/clock.ts';
import { parseJson } from '../../src/base/json.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { type Allocator, openAllocator } from '../../src/ipam/allocator.io.ts';
import type { Connection, Network } from './network.ts';
import { SeenSettings } from './settings.ts';

const EPOCH = Date.UTC(2026, 0, 1);
const FAILPOINT_PAUSE = 20_000;

/** The wall clock of one machine over virtual time. */
export class MachineClock implements Clock {
  skewMilliseconds = 0;
  private readonly network: Network;

  constructor(network: Network) {
    this.network = network;
  }

  now = (): number => this.network.scheduler.now / 1000;
  date = (): Date => new Date(Math.floor(EPOCH + this.now() + this.skewMilliseconds));
}

/** A WorkloadEndpoint as the process knows it. */
export interface KnownEndpoint {
  readonly revision: bigint;
  readonly containerId: string;
}

/** One life of the node's agent. */
export class Process {
  readonly connection: Connection;
  readonly allocator: Allocator;
  readonly settings: SeenSettings;
  readonly endpoints = new Map<string, KnownEndpoint>();

  constructor(network: Network, node: string, life: number, clock: Clock) {
    const { scheduler, random } = network;
    this.connection = network.connect(node, life);
    this.settings = new SeenSettings(node);
    this.connection.seen = (prefix, delivered) =>
      this.settings.learn(prefix, delivered, scheduler.now);
    this.allocator = openAllocator({
      store: this.connection,
      node,
      clock,
      failpoint: () =>
        random.chance(0.05) ? scheduler.sleep(random.integer(0, FAILPOINT_PAUSE)) : undefined,
    });
  }

  get dead(): boolean {
    return this.connection.dead;
  }

  revisionOf(key: string): bigint {
    return this.endpoints.get(key)?.revision ?? 0n;
  }

  /** Throws OpError when the store cannot be asked. */
  async refresh(key: string): Promise<void> {
    this.learn(key, await this.connection.get(key));
  }

  learn(key: string, item: Pick<KeyValue, 'value' | 'revision'> | undefined): void {
    if (!item) return void this.endpoints.delete(key);
    const { spec } = parseJson(item.value) as unknown as { spec: { containerID: string } };
    this.endpoints.set(key, { revision: item.revision, containerId: spec.containerID });
  }
}

export class SimulatedNode {
  readonly name: string;
  readonly clock: MachineClock;
  /** Undefined while the agent is down. */
  process: Process | undefined;
  /** A process that still answers, while `process` is asked already. */
  former: Process | undefined;
  /** The node is being taken out of the cluster: nothing new is placed on it. */
  leaving = false;
  private readonly network: Network;
  private lives = 0;

  constructor(network: Network, name: string) {
    this.network = network;
    this.name = name;
    this.clock = new MachineClock(network);
    this.start();
  }

  start(): void {
    this.leaving = false;
    this.process = new Process(this.network, this.name, ++this.lives, this.clock);
    this.note('starts');
  }

  /** Both processes end between two steps, whatever they were doing. */
  crash(): readonly Process[] {
    const ended = [this.process, this.former].flatMap((process) => process ?? []);
    for (const { connection } of ended) connection.die();
    this.process = undefined;
    this.former = undefined;
    this.note('dies');
    return ended;
  }

  /** The next process begins before the present one has ended; answers that one. */
  succeed(): Process | undefined {
    this.former = this.process;
    this.start();
    return this.former;
  }

  private note(what: string): void {
    const { trace, now } = this.network.scheduler;
    trace.add(`${now} ${this.name}#${this.lives} ${what}`);
  }
}
