// Scenarios of BGP's resources as plain text. `events.txt` holds steps: a line `== what happens`,
// then changes (`put bgppeers/x {spec} labels {..}`, `delete bgppeers/x`, `secret name {texts}`;
// `workloadendpoints/node/namespace/pod` for a pod).
// `peers.txt` holds for each step what it means on each node: `+` a session begins, `-` one ends,
// `~` one goes on under another policy, `!` something is not done as asked for.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { planPeers } from '../../src/bgp/peers/plan.ts';
import { type DesiredPeer, endpointOf } from '../../src/bgp/peers.ts';
import { type ClusterPlural, namespacedKey, resourceKey } from '../../src/model/keys.ts';
import { API_VERSION } from '../../src/model/resource.ts';
import { workloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { demandOf } from '../../src/speaker/resources/demand.ts';
import {
  newView,
  PARTS,
  type SpeakerView,
  takeChanges,
  takeListing,
} from '../../src/speaker/resources/view.ts';

export interface BgpScenario {
  readonly name: string;
  readonly events: string;
  /** What `runScenario` must answer. */
  readonly peers: string;
}

export const bgpScenarios = (): readonly BgpScenario[] =>
  readdirSync(import.meta.dirname, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('bgp-'))
    .map(({ name }) => {
      const read = (file: string) => readFileSync(join(import.meta.dirname, name, file), 'utf8');
      return { name, events: read('events.txt'), peers: read('peers.txt') };
    });

const KINDS: Readonly<Record<string, string>> = {
  nodes: 'Node',
  bgpconfigurations: 'BGPConfiguration',
  bgppeers: 'BGPPeer',
  bgpfilters: 'BGPFilter',
  ippools: 'IPPool',
  workloadendpoints: 'WorkloadEndpoint',
};

/** One node: what it knows, which sessions it has, and what it complains of. */
interface Watcher {
  readonly view: SpeakerView;
  running: ReadonlyMap<string, DesiredPeer>;
  problems: readonly string[];
}

/** The text that `peers.txt` must hold. */
export function runScenario(events: string): string {
  const steps = events.split(/^== /m).slice(1);
  const nodes = [...new Set([...events.matchAll(/^put nodes\/(\S+)/gm)].map(([, name]) => name!))];
  const watchers = new Map(nodes.toSorted().map((name) => [name, newWatcher(name)]));
  const told = steps.map((step) => {
    const [title = '', ...lines] = step.split('\n').map((line) => line.trim());
    const changes = lines.filter((line) => line && !line.startsWith('#'));
    const answers = [...watchers].flatMap(([name, watcher]) => {
      const unreadable = changes.flatMap((line) => applyTo(watcher.view, line));
      const news = newsOf(watcher, unreadable);
      return news.length > 0 ? [name, ...news.map((line) => `    ${line}`)] : [];
    });
    return [`== ${title}`, ...answers, ''].join('\n');
  });
  return `${told.join('\n').trimEnd()}\n`;
}

function newWatcher(name: string): Watcher {
  const view = newView(name);
  for (const part of PARTS) takeListing(view, part, []);
  return { view, running: new Map(), problems: [] };
}

function applyTo(view: SpeakerView, line: string): readonly string[] {
  const [, verb, target = '', rest = ''] = /^(\w+) (\S+) ?(.*)$/.exec(line) ?? [];
  if (verb === 'secret') {
    view.secrets.set(target, new Map(Object.entries(JSON.parse(rest) as Record<string, string>)));
    return [];
  }
  const [plural, name, namespace, workload] = target.split('/') as [string, string, string, string];
  const endpoint = { node: name, orchestrator: 'k8s', workload, endpoint: 'eth0' };
  const key =
    plural === 'workloadendpoints'
      ? namespacedKey(plural, namespace, workloadEndpointName(endpoint))
      : resourceKey(plural as ClusterPlural, name);
  if (verb === 'delete') return takeChanges(view, [{ kind: 'delete', key, revision: 1n }]);
  const [spec = '{}', labels = '{}'] = rest.split(' labels ');
  const metadata = { name, labels: JSON.parse(labels) as object };
  const value = { kind: KINDS[plural], apiVersion: API_VERSION, metadata, spec: JSON.parse(spec) };
  const item = { key, value: JSON.stringify(value), revision: 1n };
  return takeChanges(view, [{ kind: 'put', item }]);
}

function newsOf(watcher: Watcher, unreadable: readonly string[]): readonly string[] {
  const { peers, problems } = demandOf(watcher.view);
  const { stop, start, change } = planPeers(watcher.running, peers);
  const before = watcher.running;
  const complaints = problems.filter((problem) => !watcher.problems.includes(problem));
  watcher.running = new Map(peers.map((peer) => [endpointOf(peer), peer]));
  watcher.problems = problems;
  return [
    ...stop.map(({ endpoint }) => `- ${before.get(endpoint)!.name}`),
    ...start.map((peer) => `+ ${describe(peer)}`),
    ...change.map((peer) => `~ ${describe(peer)}`),
    ...[...unreadable, ...complaints].map((problem) => `! ${problem}`),
  ];
}

function describe(peer: DesiredPeer): string {
  const { name, address, port, asn, localAddress, localAsn } = peer;
  const given = (what: string, value: unknown): string[] =>
    value === undefined || value === 0 || value === false ? [] : [`${what} ${value}`];
  return [
    `${name} ${address} port ${port} as ${asn}`,
    `from ${localAddress ?? 'anywhere'} as ${localAsn}`,
    peer.passive ? 'listens' : 'connects',
    ...(peer.reflectorClient ? ['client'] : []),
    ...given('cluster', peer.clusterId),
    ...given('hold', peer.holdTimeSeconds),
    ...given('keepalive', peer.keepaliveSeconds),
    ...(peer.password === undefined ? [] : [`password ${peer.password}`]),
    ...given('ttl security', peer.ttlSecurityHops),
    ...(peer.gracefulRestartSeconds === 120 ? [] : [`restart ${peer.gracefulRestartSeconds}`]),
    ...given('own AS allowed', peer.allowLocalAsns),
    ...(peer.nextHopMode === 'auto' ? [] : [`next hop ${peer.nextHopMode}`]),
    ...given('reachable by', peer.reachableBy),
    ...(peer.workload ? [`pod ${peer.workload.name} at ${peer.workload.interfaceName}`] : []),
    ...given('at most', peer.maxPrefixes),
    ...(peer.bfd ? [`BFD ${peer.bfd.multihop ? 'multihop' : 'single hop'}`] : []),
    ...peer.filters.map(({ name: filter, importV4, exportV4 }) => {
      const rules = [importV4, exportV4].map((list) => {
        const actions = list.map(({ action }) => action);
        const all = actions.length > 2 && new Set(actions).size === 1;
        return all ? `${actions.length} times ${actions[0]}` : actions.join(' ') || '-';
      });
      return `filter ${filter} (in ${rules[0]}, out ${rules[1]})`;
    }),
  ].join(', ');
}
