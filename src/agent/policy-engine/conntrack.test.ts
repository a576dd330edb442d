// What the cutter does with connections of every stage while policy denies and allows them again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import type { Connection } from '../../kernel/conntrack/flow.ts';
import { ip } from '../../net/ip.ts';
import { PolicyCalculator } from '../../policy/calculate.ts';
import { FlowCutter } from './conntrack.io.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const stored = (path: string, kind: string, spec: object): [string, string] => [
  ROOT + path,
  JSON.stringify({
    kind,
    metadata: {
      name: path.split('/').at(-1),
      namespace: 'ns',
      labels: { 'projectcalico.org/namespace': 'ns' },
    },
    spec,
  }),
];
const OPEN = stored('profiles/open', 'Profile', { ingress: [{ action: 'Allow' }] });
const SERVER = stored('workloadendpoints/ns/node1-k8s-a-eth0', 'WorkloadEndpoint', {
  node: 'node1',
  interfaceName: 'calia',
  ipNetworks: ['10.1.0.1/32'],
  profiles: ['open'],
});
const policy = (action: 'Allow' | 'Deny') =>
  stored('networkpolicies/ns/p', 'NetworkPolicy', {
    selector: 'all()',
    types: ['Ingress'],
    ingress: [{ action }],
  });

const flow = (sourcePort: number, tcp: Connection['tcp']): Connection => ({
  flow: { family: 2, tuple: Buffer.from([sourcePort]), id: undefined, zone: undefined },
  reply: Buffer.alloc(0),
  source: ip('10.1.0.9'),
  destination: ip('10.1.0.1'),
  protocol: tcp ? 6 : 17,
  sourcePort,
  destinationPort: 80,
  icmp: undefined,
  isRelated: false,
  tcp,
});

/** A cutter for one pod; `now` gives the policy and the kernel's flows, and answers what it did. */
function openCutter(t: { after(end: () => void): void }) {
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  const put = (...items: readonly [string, string][]): void => {
    for (const [key, value] of items) calculator.put(key, value);
    calculator.of(4).desired();
  };
  put(OPEN, SERVER, policy('Allow'));
  const stop = new AbortController();
  t.after(() => stop.abort());
  let live: readonly Connection[] = [];
  let did: { deleted: readonly number[]; cut: readonly number[] } = { deleted: [], cut: [] };
  let looked = Promise.withResolvers<void>();
  const ports = (connections: readonly Connection[]) => connections.map((c) => c.sourcePort);
  const kernel = { isBehind: false };
  const cutter = new FlowCutter({
    facts: calculator.facts,
    isBehind: () => kernel.isBehind,
    connections: {
      of: () => Promise.resolve(live),
      delete: async (connections) => {
        did.deleted = ports(connections);
        setImmediate(looked.resolve);
      },
      cut: async (connections) => {
        did.cut = ports(connections);
      },
    },
    ownAddresses: () => new Set(),
    log: pino({ level: 'silent' }),
    signal: stop.signal,
  });
  const written = async (...flows: readonly Connection[]) => {
    [live, did, looked] = [flows, { deleted: [], cut: [] }, Promise.withResolvers<void>()];
    cutter.written();
    await looked.promise;
    return did;
  };
  const now = (action: 'Allow' | 'Deny', ...flows: readonly Connection[]) => {
    put(policy(action));
    return written(...flows);
  };
  return { cutter, kernel, now, written };
}

test('of connections that are over nothing is left, others are cut once', async (t) => {
  const { cutter, now } = openCutter(t);
  const flows = [flow(1, 'open'), flow(2, 'over'), flow(3, undefined), flow(4, 'opening')];
  assert.deepEqual(await now('Deny', ...flows), { deleted: [2], cut: [1, 3, 4] });
  assert.equal(cutter.cut, 3);
});

test('allowed again, what was left goes; a new connection of the same ports goes on', async (t) => {
  const { now } = openCutter(t);
  await now('Deny', flow(1, 'open'), flow(2, 'open'));
  const reused = flow(2, 'open');
  assert.deepEqual(await now('Allow', flow(1, 'opening'), reused), { deleted: [1], cut: [] });
  assert.deepEqual(await now('Deny', reused), { deleted: [], cut: [2] });
});

test('while the rules are behind what is known, flows begin that they will deny: cut after the rules', async (t) => {
  const { cutter, kernel, now, written } = openCutter(t);
  kernel.isBehind = true;
  assert.deepEqual(await now('Deny', flow(1, undefined)), { deleted: [], cut: [1] });
  kernel.isBehind = false;
  const revived = flow(1, undefined);
  assert.deepEqual(await written(revived, flow(2, 'open')), { deleted: [], cut: [1, 2] });
  assert.equal(cutter.judged, 3);
});
