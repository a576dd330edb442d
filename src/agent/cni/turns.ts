// Calls for one container take turns, whatever its runtime does: one that gave an ADD up calls DEL
// while the ADD still runs. Such a DEL makes the ADD stop at its next step and undo what it did, and
// has its turn then. Calls for other containers go on.
import { OpError } from '../../base/op-error.ts';
import type { CniRequest } from '../../cni/request.ts';

type Turn = Pick<CniRequest, 'command' | 'containerId' | 'ifname' | 'ipamOnly'>;

interface Call {
  readonly ifname: string;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

export class Turns {
  /** By container, first come first. */
  private readonly lines = new Map<string, Call[]>();

  /** Runs `work` after all earlier calls for the container; its signal fires when a DEL overtakes it. */
  async take<T>(turn: Turn, work: (overtaken: AbortSignal) => Promise<T>): Promise<T> {
    const key = keyOf(turn);
    const line = this.lines.get(key) ?? [];
    this.lines.set(key, line);
    if (turn.command === 'DEL') overtake(line, turn);
    const before = line.at(-1)?.done;
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const call: Call = { ifname: turn.ifname, stop: new AbortController(), done };
    line.push(call);
    try {
      await before;
      return await work(call.stop.signal);
    } finally {
      line.splice(line.indexOf(call), 1);
      if (line.length === 0) this.lines.delete(key);
      resolve();
    }
  }

  /** Whether a call for the container runs or waits. */
  has(turn: Pick<Turn, 'containerId' | 'ipamOnly'>): boolean {
    return this.lines.has(keyOf(turn));
  }
}

// Another IPAM plugin that `calico` calls may call `calico-ipam` for the same container: the two do
// not wait for each other.
const keyOf = ({ containerId, ipamOnly }: Pick<Turn, 'containerId' | 'ipamOnly'>): string =>
  `${ipamOnly ? 'ipam' : 'main'} ${containerId}`;

function overtake(line: readonly Call[], { ifname, containerId }: Turn): void {
  for (const call of line)
    if (call.ifname === ifname)
      call.stop.abort(new OpError(`ADD for ${containerId}`, 'DEL came before it had ended'));
}

/** What `work` comes to; throws the signal's reason when that fires first, while `work` goes on. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
