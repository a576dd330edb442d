// What happens to this machine's own interfaces, for who works from them: addresses and sizes. A change is
// told once it has been quiet for a moment, and everything is looked at from time to time, whatever is heard.
import type { Milliseconds } from '../../base/clock.ts';
import type { Kernel, KernelEvent } from '../../kernel/kernel.ts';

export interface HostWatchParts {
  readonly kernel: Pick<Kernel, 'subscribe'>;
  readonly signal: AbortSignal;
  readonly pollMilliseconds: Milliseconds;
  readonly settleMilliseconds?: Milliseconds;
  /** Addresses may be others now. */
  readonly addresses: () => void;
  /** Links may be others now. */
  readonly links: () => void;
}

/** An interface that gets a new address loses the old one first: nobody is to see it without. */
const SETTLE_MILLISECONDS = 1000;

type Kind = 'addresses' | 'links';

/** Until the signal fires. */
export function watchHost(parts: HostWatchParts): void {
  const { kernel, signal, pollMilliseconds, settleMilliseconds = SETTLE_MILLISECONDS } = parts;
  const timers = new Map<Kind, NodeJS.Timeout>();
  const soon = (kind: Kind): void => {
    clearTimeout(timers.get(kind));
    timers.set(kind, setTimeout(parts[kind], settleMilliseconds));
  };
  kernel.subscribe((event) => {
    for (const kind of kindsOf(event)) soon(kind);
  }, signal);
  const poll = setInterval(() => {
    parts.addresses();
    parts.links();
  }, pollMilliseconds);
  const stop = (): void => {
    clearInterval(poll);
    for (const timer of timers.values()) clearTimeout(timer);
  };
  signal.addEventListener('abort', stop, { once: true });
}

// Pods' interfaces come and go all the time, and are nobody's way to another node.
function kindsOf(event: KernelEvent): readonly Kind[] {
  switch (event.kind) {
    case 'lost':
      return ['addresses', 'links'];
    case 'address':
      return event.address.scope === 'link' ? [] : ['addresses'];
    case 'link':
      return event.link.name.startsWith('cali') ? [] : ['addresses', 'links'];
    default:
      return [];
  }
}
