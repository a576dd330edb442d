// Packets between two pods of one node: what the engine writes is asked of the kernel itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { cleanUp, openPolicyEngine, type PolicyEngine } from '../../src/agent/policy-engine.io.ts';
import { systemClock } from '../../src/base/clock.io.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { ip } from '../../src/net/ip.ts';
import { attempt } from '../lab/command.ts';
import { commandIpSets, commandTables, makeNamespace, type Namespace } from './policy-namespace.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const WAIT_SECONDS = '0.4';

interface Pod {
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace;
}

function addPod(node: Namespace, name: string, address: string): Pod {
  const namespace = makeNamespace();
  const device = `cali${name}`;
  const inPod = (...argv: string[]) => namespace.exec(argv);
  node.exec(['ip', 'link', 'add', device, 'type', 'veth', 'peer', 'eth0', 'netns', namespace.name]);
  inPod('ip', 'address', 'add', `${address}/32`, 'dev', 'eth0');
  inPod('ip', 'link', 'set', 'eth0', 'up');
  inPod('ip', 'route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link');
  inPod('ip', 'route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0');
  node.exec(['ip', 'link', 'set', device, 'up']);
  node.exec(['ip', 'route', 'add', address, 'dev', device, 'scope', 'link']);
  const gateway = 'ee:ee:ee:ee:ee:ee';
  node.exec(['ip', 'link', 'set', device, 'address', gateway]);
  inPod('ip', 'neigh', 'add', '169.254.1.1', 'dev', 'eth0', 'lladdr', gateway);
  return { name, address, namespace };
}

/** Nobody listens: a refusal has been there and back, silence was dropped. */
function reaches(from: Pod, to: Pod, port: number): boolean {
  const call = `exec 3<>/dev/tcp/${to.address}/${port}`;
  const command = ['timeout', WAIT_SECONDS, 'bash', '-c', call];
  const { output } = attempt(['ip', 'netns', 'exec', from.namespace.name, ...command]);
  return output.includes('refused');
}

const stored = (path: string, kind: string, spec: object, labels: object = {}): KeyValue => ({
  key: ROOT + path,
  value: JSON.stringify({
    kind,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: path.slice(path.lastIndexOf('/') + 1), namespace: 'default', labels },
    spec,
  }),
  revision: 1n,
});

const endpoint = ({ name, address }: Pod, app: string): KeyValue =>
  stored(
    `workloadendpoints/default/node1-k8s-${name}-eth0`,
    'WorkloadEndpoint',
    {
      node: 'node1',
      interfaceName: `cali${name}`,
      ipNetworks: [`${address}/32`],
      profiles: ['kns.default'],
      ports: [{ name: 'web', protocol: 'TCP', port: 8080 }],
    },
    { app, 'projectcalico.org/namespace': 'default', 'projectcalico.org/orchestrator': 'k8s' },
  );

const PROFILE = stored('profiles/kns.default', 'Profile', {
  ingress: [{ action: 'Allow' }],
  egress: [{ action: 'Allow' }],
});
const policy = (name: string, spec: object): KeyValue =>
  stored(`networkpolicies/default/knp.default.${name}`, 'NetworkPolicy', { order: 1000, ...spec });
const DENY = policy('deny', { selector: 'all()', types: ['Ingress'] });
const ALLOW = policy('allow', {
  selector: "app == 'server'",
  types: ['Ingress'],
  ingress: [
    {
      action: 'Allow',
      protocol: 'TCP',
      source: { selector: "app == 'client'" },
      destination: { ports: [80, 'web'] },
    },
  ],
});

test('policy between two pods', async () => {
  const node = makeNamespace();
  const made = [node];
  const engines: PolicyEngine[] = [];
  try {
    node.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    node.exec(['ip', 'link', 'set', 'lo', 'up']);
    node.exec(['ip', 'address', 'add', '10.244.98.1/32', 'dev', 'lo']);
    const a = addPod(node, 'a', '10.65.0.2');
    made.push(a.namespace);
    const b = addPod(node, 'b', '10.65.0.3');
    made.push(b.namespace);
    const [tables, ipSets] = [commandTables(node), commandIpSets(node)];
    const start = (items: readonly KeyValue[]): PolicyEngine => {
      const engine = openPolicyEngine({
        node: 'node1',
        tables,
        ipSets,
        settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
        nodeAddress: () => ip('10.244.98.1'),
        log: pino({ level: 'silent' }),
        clock: systemClock,
      });
      engines.push(engine);
      engine.snapshot(items);
      return engine;
    };
    const [client, server] = [endpoint(a, 'client'), endpoint(b, 'server')];
    assert.ok(reaches(a, b, 80), 'the pods are wired');

    const engine = start([PROFILE, client]);
    await engine.inSync();
    assert.ok(!reaches(a, b, 80), 'an interface without policy passes nothing');
    assert.ok(!reaches(b, a, 80), 'nor does it send');

    await engine.putEndpoint(server.key, server.value);
    assert.ok(reaches(a, b, 80), 'its profile allows');
    assert.ok(reaches(b, a, 80));

    const settled = async (...items: readonly KeyValue[]): Promise<void> => {
      engine.changes(items.map((item) => ({ kind: 'put', item })));
      await engine.putEndpoint(server.key, server.value);
    };
    await settled(DENY);
    assert.ok(!reaches(a, b, 80), 'default deny');

    await settled(ALLOW);
    assert.ok(reaches(a, b, 80), 'the policy allows the port');
    assert.ok(reaches(a, b, 8080), 'and the named port');
    assert.ok(!reaches(a, b, 81), 'and no other');
    assert.ok(!reaches(b, a, 80), 'and not the other way');

    await settled(endpoint(a, 'stranger'));
    assert.ok(!reaches(a, b, 80), 'a label change takes the client out of the set');
    await settled(client);
    assert.ok(reaches(a, b, 80));

    a.namespace.exec(['ip', 'address', 'add', '10.65.0.9/32', 'dev', 'eth0']);
    a.namespace.exec([
      'ip',
      'route',
      'replace',
      'default',
      'via',
      '169.254.1.1',
      'src',
      '10.65.0.9',
    ]);
    assert.ok(!reaches(a, b, 80), 'a forged source address is dropped');
    a.namespace.exec(['ip', 'route', 'replace', 'default', 'via', '169.254.1.1', 'src', a.address]);

    await engine.close();
    tables.commits = 0;
    ipSets.commits = 0;
    await start([PROFILE, client, server, DENY, ALLOW]).inSync();
    assert.equal(tables.commits + ipSets.commits, 0, 'a restart adopts what is there');
    assert.ok(reaches(a, b, 80));
    assert.ok(!reaches(a, b, 81));

    await engines.at(-1)!.close();
    await cleanUp(tables, ipSets);
    assert.ok(reaches(a, b, 81), 'nothing of ours is left');
  } finally {
    for (const engine of engines) await engine.close();
    for (const namespace of made) namespace.remove();
  }
});
