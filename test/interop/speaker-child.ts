// Our speaker as a process for interop tests: the real sockets and the real kernel of the network
// namespace it is started in, and a datastore in memory that the test fills over the IPC channel.
import { writeFileSync } from 'node:fs';
import { systemClock } from '../../src/base/clock.io.ts';
import { openLog } from '../../src/base/log.io.ts';
import { memoryStore } from '../../src/datastore/memory.ts';
import { openKernel } from '../../src/kernel/netns.io.ts';
import type { EndpointSlice, Service } from '../../src/kubernetes/api.ts';
import { memoryKubernetes } from '../../src/kubernetes/memory.ts';
import { openSpeaker } from '../../src/speaker/speaker.io.ts';

/** What the test tells. */
export type ToSpeaker =
  /** All is there that there is at first: a real datastore's first listing is whole. */
  | { readonly kind: 'start' }
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'secret'; readonly name: string; readonly texts: Record<string, string> }
  | { readonly kind: 'cordon'; readonly cordoned: boolean }
  /** An object of Kubernetes; `gone`: is there no more. */
  | {
      readonly kind: 'kubernetes';
      readonly plural: 'services' | 'endpointslices' | 'nodes';
      readonly object: Service & EndpointSlice;
      readonly gone: boolean;
    }
  /** Writes the routing table in the MRT format. */
  | { readonly kind: 'dump'; readonly file: string }
  | { readonly kind: 'routes' }
  | { readonly kind: 'state' };

/** What it hears on `state`; on `routes`, the whole table. */
export interface FromSpeaker {
  readonly ready: boolean;
  readonly problems: readonly string[];
  readonly routeProblems: readonly string[];
  /** What of the BGP resources is not done as asked for. */
  readonly refused: readonly string[];
  readonly peers: readonly {
    readonly name: string;
    readonly address: string;
    readonly state: string;
    readonly since: string;
    readonly lastError: string;
    /** Empty: BFD does not watch it. */
    readonly bfd: string;
    /** ROUTE-REFRESH messages, the marks of RFC 7313 among them. */
    readonly refreshes: { readonly received: number; readonly sent: number };
  }[];
}

const [node, holdTimeSeconds] = process.argv.slice(2) as [string, string];
const store = memoryStore();
const kubernetes = memoryKubernetes();
const open = () =>
  openSpeaker({
    store,
    kubernetes,
    kernel: openKernel(),
    node,
    clock: systemClock,
    log: openLog('bgp', process.env['LOG_LEVEL'] ?? 'warn'),
    holdTimeSeconds: Number(holdTimeSeconds),
    random: Math.random,
  });
let speaker: ReturnType<typeof open>;

process.on('message', (message: ToSpeaker) => {
  switch (message.kind) {
    case 'start':
      speaker = open();
      break;
    case 'put':
      store.put(message.key, message.value);
      break;
    case 'delete':
      store.delete(message.key);
      break;
    case 'secret': {
      const data = Object.entries(message.texts).map(([key, text]) => [key, btoa(text)]);
      const metadata = { name: message.name, namespace: 'kube-system' };
      kubernetes.put('secrets', { metadata, data: Object.fromEntries(data) });
      break;
    }
    case 'cordon': {
      const spec = { unschedulable: message.cordoned };
      kubernetes.put('nodes', { metadata: { name: node }, spec });
      break;
    }
    case 'kubernetes': {
      const { plural, object, gone } = message;
      const { name, namespace } = object.metadata;
      if (gone) kubernetes.remove(plural, name, namespace);
      else kubernetes.put(plural, object);
      break;
    }
    case 'dump':
      writeFileSync(message.file, Buffer.concat([...speaker.dump()]));
      break;
    case 'routes':
      process.send?.([...speaker.routes()]);
      break;
    case 'state':
      process.send?.(state());
  }
});

function state(): FromSpeaker {
  const { ready, problems } = speaker.health;
  const { routeProblems, problems: refused, peers: reports } = speaker.report;
  const peers = speaker.peers.map(({ peer, state, since, lastError, received, sent }) => ({
    name: peer.name,
    address: peer.address,
    state,
    since: since.toISOString(),
    lastError: lastError ?? '',
    bfd: reports.find(({ name }) => name === peer.name)?.bfd?.state ?? '',
    refreshes: { received: received.refresh, sent: sent.refresh },
  }));
  return { ready, problems, routeProblems, refused, peers };
}

process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => {
  void speaker.close().then(() => process.exit(0));
});
