// The node's tunnel devices, kept as the pools want them, one after the other since each writes the own
// Node: at once when pools, Node or settings change, or when somebody changes a device.
import type { Milliseconds } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { Change } from '../../datastore/store.ts';
import { resourceKey } from '../../model/keys.ts';
import { type Encapsulation, encapsulationsOf } from '../../model/mtu.ts';
import { TUNNEL_DEVICES } from '../../model/tunnel.ts';
import { readNode } from './own-node.io.ts';
import { TunnelDevice, type TunnelDriver, type TunnelParts } from './tunnel.io.ts';

/** What fails is tried again after a pause that doubles: a port may be held for a moment by what just went. */
const RETRY_MILLISECONDS: Milliseconds = 100;
const RETRY_MILLISECONDS_MAX: Milliseconds = 1000;
/** What fails while much happens is tried again no sooner than this. */
const PAUSE_MILLISECONDS: Milliseconds = 50;

export interface TunnelsParts extends TunnelParts {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly drivers: readonly TunnelDriver[];
  /** `problem` may be another. */
  readonly onChange: () => void;
}

export class Tunnels {
  private readonly parts: TunnelsParts;
  private readonly devices: readonly TunnelDevice[];
  private listening = false;
  private working: Promise<void> | undefined;
  private again = false;
  private timer: NodeJS.Timeout | undefined;
  /** Before what failed is tried again. */
  private rest: AbortController | undefined;

  constructor(parts: TunnelsParts) {
    this.parts = parts;
    this.devices = parts.drivers.map((driver) => new TunnelDevice(parts, driver));
  }

  /** Why there is no device although a pool wants one. */
  problem(tunnel: Encapsulation): string | undefined {
    return this.devices.find(({ driver }) => driver.tunnel === tunnel)?.problem;
  }

  /** The datastore told of these; looks whether a device has to do with them. */
  changes(changes: readonly Change[]): void {
    const keyOf = (change: Change): string =>
      change.kind === 'put' ? change.item.key : change.key;
    const { node } = this.parts;
    const own = [
      resourceKey('nodes', node),
      resourceKey('felixconfigurations', 'default'),
      resourceKey('felixconfigurations', `node.${node}`),
    ];
    const concerns = (key: string): boolean =>
      key.startsWith(resourceKey('ippools', '')) || own.includes(key);
    if (changes.some((change) => concerns(keyOf(change)))) this.wake();
  }

  /** Makes everything right in the background, and repeats what fails. */
  wake(): void {
    if (this.parts.signal.aborted) return;
    this.again = true;
    this.rest?.abort();
    this.working ??= this.work();
  }

  /** Resolves when all that was to be done has been. */
  async settled(): Promise<void> {
    while (this.working) await this.working;
  }

  private async work(): Promise<void> {
    const { signal } = this.parts;
    let wait = RETRY_MILLISECONDS;
    while (this.again && !signal.aborted) {
      this.again = false;
      const failed = await this.round();
      if (!failed) continue;
      await pause(PAUSE_MILLISECONDS, signal);
      this.rest = new AbortController();
      // A device that went meanwhile, for one, is told of soon.
      if (!this.again) await pause(wait, AbortSignal.any([signal, this.rest.signal]));
      wait = Math.min(2 * wait, RETRY_MILLISECONDS_MAX);
      this.rest = undefined;
      this.again = true;
    }
    this.working = undefined;
  }

  /** Whether something failed: one device does not keep the others from being right. */
  private async round(): Promise<boolean> {
    if (encapsulationsOf(this.parts.pools().map(({ spec }) => spec)).size > 0) this.listen();
    let failed = false;
    for (const device of this.devices) {
      const before = device.problem;
      try {
        this.later(await device.makeRight(await readNode(this.parts)));
      } catch (cause) {
        failed = true;
        const name = TUNNEL_DEVICES[device.driver.tunnel];
        this.parts.log.warn({ cause: messageOf(cause) }, `${name} is not as it should be`);
      }
      if (device.problem !== before) this.parts.onChange();
    }
    return failed;
  }

  private later(delay: Milliseconds | undefined): void {
    if (delay === undefined) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wake(), delay).unref();
  }

  /** Only from now on: every pod's links would wake us. */
  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    const { kernel, signal } = this.parts;
    kernel.subscribe((event) => {
      if (this.devices.some((device) => device.concerns(event))) this.wake();
    }, signal);
  }
}
