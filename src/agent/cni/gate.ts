// Calls run side by side; a sweep runs alone: it waits until no call is under way, and calls that
// arrive meanwhile wait for it. A call that takes long (a readiness gate, another plugin) must not make
// the others wait as long: then the sweep gives up.
import { OpError } from '../../base/op-error.ts';

export class CallGate {
  private calls = 0;
  private sweeping: Promise<unknown> | undefined;
  private idle: (() => void)[] = [];

  /** Calls under way. */
  get count(): number {
    return this.calls;
  }

  /** Runs a call once no sweep is under way. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    while (this.sweeping) await this.sweeping;
    this.calls++;
    try {
      return await work();
    } finally {
      if (--this.calls === 0) for (const go of this.idle.splice(0)) go();
    }
  }

  /** Runs a sweep alone. Throws OpError when calls are still under way once `patience` has ended. */
  async alone<T>(work: () => Promise<T>, patience: Promise<unknown>): Promise<T> {
    while (this.sweeping) await this.sweeping;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.sweeping = promise;
    try {
      if (this.calls > 0) {
        await Promise.race([new Promise<void>((go) => this.idle.push(go)), patience]);
        if (this.calls > 0) throw new OpError('run alone', `${this.calls} calls are under way`);
      }
      return await work();
    } finally {
      this.sweeping = undefined;
      resolve();
    }
  }
}
