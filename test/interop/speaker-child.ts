// Our speaker as a process for interop tests: the real sockets and the real kernel of the network
// namespace it is started in, and a datastore in memory that the test fills over the IPC channel.
import { systemClock } from '../../src/base/clock.io.ts';
import { openLog } from '../../src/base/log.io.ts';
import { memoryStore } from '../../src/datastore/memory.ts';
import { openKernel } from '../../src/kernel/netns.io.ts';
import { openSpeaker } from '../../src/speaker/speaker.io.ts';

/** What the test tells. */
export type ToSpeaker =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'state' };

/** What it hears on `state`. */
export interface FromSpeaker {
  readonly ready: boolean;
  readonly problems: readonly string[];
  readonly routeProblems: readonly string[];
  readonly peers: readonly { readonly address: string; readonly state: string }[];
}

const [node, holdTimeSeconds] = process.argv.slice(2) as [string, string];
const store = memoryStore();
const speaker = openSpeaker({
  store,
  kernel: openKernel(),
  node,
  clock: systemClock,
  log: openLog('bgp', process.env['LOG_LEVEL'] ?? 'warn'),
  holdTimeSeconds: Number(holdTimeSeconds),
  random: Math.random,
});

process.on('message', (message: ToSpeaker) => {
  if (message.kind === 'put') store.put(message.key, message.value);
  else if (message.kind === 'delete') store.delete(message.key);
  else {
    const { ready, problems } = speaker.health;
    const peers = speaker.peers.map(({ peer, state }) => ({ address: peer.address, state }));
    const state: FromSpeaker = {
      ready,
      problems,
      routeProblems: speaker.report.routeProblems,
      peers,
    };
    process.send?.(state);
  }
});
process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => {
  speaker.close();
  process.exit(0);
});
