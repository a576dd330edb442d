// Packets between two pods of one node: what the engine writes is asked of the kernel itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { cleanUp, openPolicyEngine, type PolicyEngine } from '../../src/agent/policy-engine.io.ts';
import { systemClock } from '../../src/base/clock.io.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { IpSets, Tables } from '../../src/kernel/tables.ts';
import { ip } from '../../src/net/ip.ts';
import { attempt, eventually, run } from '../lab/command.ts';
import { netnsPath, type TestNetns, withNetns } from '../lab/netns.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const WAIT_SECONDS = '0.4';

interface Pod {
  readonly name: string;
  readonly address: string;
  readonly netns: TestNetns;
}

const exec = (netns: TestNetns, ...argv: string[]): string =>
  run(['ip', 'netns', 'exec', netns.name, ...argv]);

function wirePod(node: TestNetns, netns: TestNetns, name: string, address: string): Pod {
  const device = `cali${name}`;
  const gateway = 'ee:ee:ee:ee:ee:ee';
  const inPod = (...argv: string[]) => exec(netns, 'ip', ...argv);
  const onNode = (...argv: string[]) => exec(node, 'ip', ...argv);
  onNode('link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  onNode('link', 'set', device, 'address', gateway, 'up');
  onNode('route', 'add', address, 'dev', device, 'scope', 'link');
  inPod('address', 'add', `${address}/32`, 'dev', 'eth0');
  inPod('link', 'set', 'eth0', 'up');
  inPod('route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link');
  inPod('route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0');
  inPod('neigh', 'add', '169.254.1.1', 'dev', 'eth0', 'lladdr', gateway);
  return { name, address, netns };
}

/** Nobody listens: a refusal has been there and back, silence was dropped. */
function reaches(from: Pod, to: Pod, port: number): boolean {
  const call = `exec 3<>/dev/tcp/${to.address}/${port}`;
  const command = ['timeout', WAIT_SECONDS, 'bash', '-c', call];
  const { output } = attempt(['ip', 'netns', 'exec', from.netns.name, ...command]);
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

interface Counted {
  readonly tables: Tables;
  readonly ipSets: IpSets;
  commits: number;
}

function counted(tables: Tables, ipSets: IpSets): Counted {
  const count: Counted = {
    commits: 0,
    tables: {
      ...tables,
      commit: (transaction) => {
        count.commits++;
        return tables.commit(transaction);
      },
    },
    ipSets: {
      ...ipSets,
      commit: (changes) => {
        count.commits++;
        return ipSets.commit(changes);
      },
    },
  };
  return count;
}

function start(kernel: Counted, items: readonly KeyValue[]): PolicyEngine {
  const engine = openPolicyEngine({
    node: 'node1',
    tables: kernel.tables,
    ipSets: kernel.ipSets,
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => ip('10.244.98.1'),
    log: pino({ level: 'silent' }),
    clock: systemClock,
    checkMilliseconds: 200,
  });
  engine.snapshot(items);
  return engine;
}

async function checkPolicies(engine: PolicyEngine, a: Pod, b: Pod): Promise<void> {
  const server = endpoint(b, 'server');
  await engine.inSync();
  assert.ok(!reaches(a, b, 80), 'an interface without policy passes nothing');
  assert.ok(!reaches(b, a, 80), 'nor does it send');

  await engine.putEndpoint(server.key, server.value);
  assert.ok(reaches(a, b, 80), 'its profile allows');
  assert.ok(reaches(b, a, 80));

  const settled = async (item: KeyValue): Promise<void> => {
    engine.changes([{ kind: 'put', item }]);
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
  await settled(endpoint(a, 'client'));
  assert.ok(reaches(a, b, 80));

  const source = (address: string) =>
    exec(a.netns, 'ip', 'route', 'replace', 'default', 'via', '169.254.1.1', 'src', address);
  exec(a.netns, 'ip', 'address', 'add', '10.65.0.9/32', 'dev', 'eth0');
  source('10.65.0.9');
  assert.ok(!reaches(a, b, 80), 'a forged source address is dropped');
  source(a.address);
}

test('policy between two pods', async () => {
  const namespaces = withNetns(`ckt-policy-${process.pid}`, ['node', 'a', 'b']);
  const [node, ofA, ofB] = namespaces as [TestNetns, TestNetns, TestNetns];
  const place = { netnsPath: netnsPath(node.name) };
  const kernel = counted(await openTables(place), await openIpSets(place));
  const engines: PolicyEngine[] = [];
  try {
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    exec(node, 'ip', 'address', 'add', '10.244.98.1/32', 'dev', 'lo');
    const a = wirePod(node, ofA, 'a', '10.65.0.2');
    const b = wirePod(node, ofB, 'b', '10.65.0.3');
    assert.ok(reaches(a, b, 80), 'the pods are wired');

    const engine = start(kernel, [PROFILE, endpoint(a, 'client')]);
    engines.push(engine);
    await checkPolicies(engine, a, b);
    await engine.close();

    kernel.commits = 0;
    const all = [PROFILE, endpoint(a, 'client'), endpoint(b, 'server'), DENY, ALLOW];
    const restarted = start(kernel, all);
    engines.push(restarted);
    await restarted.inSync();
    assert.equal(kernel.commits, 0, 'a restart adopts what is there');
    assert.ok(reaches(a, b, 80));
    assert.ok(!reaches(a, b, 81));

    exec(node, 'iptables', '-F');
    await eventually('the rules are repaired', () => !reaches(a, b, 81));
    assert.ok(reaches(a, b, 80));

    await restarted.close();
    await cleanUp(kernel.tables, kernel.ipSets);
    assert.ok(reaches(a, b, 81), 'nothing of ours is left');
  } finally {
    for (const engine of engines) await engine.close();
    await kernel.tables.close();
    await kernel.ipSets.close();
    for (const namespace of namespaces) namespace.remove();
  }
});
