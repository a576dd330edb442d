// Virtual time. One event runs at a time, and the next only when everything that could go on without
// time has gone on, so that the order of all things follows from the order of the queue.
import { Trace } from './trace.ts';

/** Microseconds since the simulation began. */
export type Micros = number;

interface Event {
  readonly at: Micros;
  /** Events of one moment run in the order they were asked for. */
  readonly order: number;
  readonly run: () => void;
}

const EVENTS_MAX = 2_000_000;

export class Scheduler {
  readonly trace = new Trace();
  now: Micros = 0;
  private readonly heap: Event[] = [];
  private order = 0;
  private ran = 0;

  after(delay: Micros, run: () => void): void {
    push(this.heap, { at: this.now + Math.max(0, Math.round(delay)), order: this.order++, run });
  }

  sleep(delay: Micros): Promise<void> {
    return new Promise((resolve) => this.after(delay, resolve));
  }

  /** Until `done` holds, `until` has come, or nothing is left to happen. */
  async run(done: () => boolean, until = Number.POSITIVE_INFINITY): Promise<void> {
    await settled();
    while (!done() && this.heap.length > 0 && this.heap[0]!.at <= until) {
      if (++this.ran > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events`);
      const event = pop(this.heap);
      this.now = event.at;
      event.run();
      await settled();
    }
  }

  get idle(): boolean {
    return this.heap.length === 0;
  }
}

// Ticks run when no microtask is left: every promise that could settle has settled.
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event {
  const top = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
