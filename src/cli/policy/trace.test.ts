// `trace` and `reach` as a person reads them, on the datastore of a recorded scenario's shape.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { memoryStore } from '../../datastore/memory.ts';
import { parseCounts } from '../../kernel/iptables/counts.ts';
import { ip } from '../../net/ip.ts';
import { PolicyModel } from '../../policy/explain/model.ts';
import { parsePort } from '../../policy/explain/ports.ts';
import { servedAddresses } from '../services/listing.ts';
import { addPolicyCommands } from './commands.ts';
import { servedAt, traceService } from './service-trace.ts';
import { reachCommand, traceCommand } from './trace.ts';
import { parseWhatIf } from './what-if.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';

/** What was put into a model. */
const STORED = new WeakMap<PolicyModel, Map<string, string>>();

function put(model: PolicyModel, path: string, kind: string, spec: object, labels = {}): void {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const metadata = { name, labels };
  const value = JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata, spec });
  model.put(ROOT + path, value);
  const stored = STORED.get(model) ?? new Map<string, string>();
  STORED.set(model, stored.set(ROOT + path, value));
}

function world(): PolicyModel {
  const model = new PolicyModel();
  const open = [{ action: 'Allow' }];
  const pool = { cidr: '192.168.0.0/16', natOutgoing: true };
  put(model, 'ippools/p', 'IPPool', pool);
  put(model, 'nodes/node1', 'Node', { bgp: { ipv4Address: '10.0.0.1/24' } });
  const pods = [
    ['shop', 'web', 'web', '192.168.1.1'],
    ['shop', 'db', 'db', '192.168.1.2'],
    ['tools', 'cron', 'cron', '192.168.2.1'],
  ] as const;
  for (const [namespace, name, app, address] of pods) {
    put(model, `profiles/kns.${namespace}`, 'Profile', { ingress: open, egress: open });
    put(
      model,
      `workloadendpoints/${namespace}/node1-k8s-${name}-eth0`,
      'WorkloadEndpoint',
      {
        node: 'node1',
        interfaceName: `cali${name}`,
        ipNetworks: [`${address}/32`],
        profiles: [`kns.${namespace}`],
      },
      {
        app,
        'projectcalico.org/namespace': namespace,
        'projectcalico.org/orchestrator': 'k8s',
      },
    );
  }
  return model;
}

const port = (text: string) => {
  const parsed = parsePort(text);
  assert.ok(parsed.ok);
  return parsed.value;
};

function lines(model: PolicyModel, from: string, to: string, ports = '5432'): readonly string[] {
  const output = traceCommand({ enforced: model }, from, to, port(ports));
  assert.ok(output.ok, output.ok ? '' : output.error);
  return output.value.lines;
}

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 5432}]
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: no-cron}
spec:
  tier: security
  selector: app == 'db'
  types: [Ingress]
  ingress:
    - {action: Log, protocol: TCP}
    - {action: Pass, source: {notSelector: app == 'cron'}}
`;

function withPolicy(): PolicyModel {
  const model = world();
  const stored = parseWhatIf(POLICY);
  assert.ok(stored.ok, stored.ok ? '' : stored.error);
  for (const { key, value } of stored.value) model.put(key, value);
  return model;
}

test('trace: who was asked, which rule decided, and who is in its sets', () => {
  assert.deepEqual(lines(world(), 'shop/web', 'shop/db'), [
    'shop/web (192.168.1.1) -> shop/db (192.168.1.2), tcp 5432',
    '',
    'egress of shop/web: allow',
    '  Profile kns.shop  <- decides',
    '    rule 1: Allow',
    '',
    'ingress of shop/db: allow',
    '  Profile kns.shop  <- decides',
    '    rule 1: Allow',
    '',
    'verdict: allow',
  ]);
  const pods = `projectcalico.org/orchestrator == "k8s"`;
  assert.deepEqual(lines(withPolicy(), 'shop/web', 'shop/db').slice(6), [
    'ingress of shop/db: allow',
    '  tier security',
    '    GlobalNetworkPolicy no-cron',
    '      rule 1: Log tcp',
    '      rule 2: Pass from not app == "cron"',
    '  tier default',
    '    NetworkPolicy shop/knp.default.db  <- decides',
    `      rule 1: Allow tcp from (projectcalico.org/namespace == "shop" && (${pods} && app == "web")) to port 5432`,
    `        source 192.168.1.1 is in (projectcalico.org/namespace == "shop" && (${pods} && app == "web")) by workloadendpoints/shop/node1-k8s-web-eth0`,
    '',
    'verdict: allow',
  ]);
});

test('trace: denied at the end of a tier', () => {
  assert.deepEqual(lines(withPolicy(), 'tools/cron', 'shop/db').slice(6), [
    'ingress of shop/db: deny',
    '  tier security',
    '    GlobalNetworkPolicy no-cron',
    '      rule 1: Log tcp',
    '    end of tier security: Deny  <- decides',
    '',
    'verdict: deny',
  ]);
});

test('trace: to a pod of another node, in what its pool says', () => {
  const noteWith = (modes: object): string | undefined => {
    const model = world();
    put(model, 'ippools/p', 'IPPool', { cidr: '192.168.0.0/16', ...modes });
    put(model, 'workloadendpoints/shop/node2-k8s-far-eth0', 'WorkloadEndpoint', {
      node: 'node2',
      interfaceName: 'califar',
      ipNetworks: ['192.168.9.1/32'],
      profiles: ['kns.shop'],
    });
    return lines(model, 'shop/web', 'shop/far', '80').find((line) => line.startsWith('note: '));
  };
  assert.equal(
    noteWith({ vxlanMode: 'Always' }),
    'note: from node node1 to node2 in VXLAN (vxlan.calico)',
  );
  assert.equal(
    noteWith({ ipipMode: 'CrossSubnet' }),
    'note: from node node1 to node2 in IP-in-IP (tunl0), plain where these share a subnet',
  );
  assert.equal(noteWith({}), undefined);
});

test('trace: out of the cluster, from the own host, from an unknown address', () => {
  assert.deepEqual(lines(world(), 'shop/web', '1.1.1.1', '53/udp').slice(-2), [
    'note: leaves the pools: 192.168.1.1 becomes the address of its node (natOutgoing)',
    'verdict: allow',
  ]);
  assert.deepEqual(lines(withPolicy(), '10.0.0.1', 'shop/db').slice(-2), [
    'note: the host of shop/db is not asked: it may always reach its pods',
    'verdict: allow',
  ]);
  assert.equal(lines(withPolicy(), '10.9.9.9', '192.168.1.2').at(-1), 'verdict: deny');
});

test('reach: all, none, or how many of the pairs', () => {
  const output = reachCommand({ enforced: withPolicy() }, port('5432'), []);
  assert.ok(output.ok);
  assert.deepEqual(output.value.lines, [
    '+-----------+--------+-------+',
    '| FROM \\ TO | shop   | tools |',
    '+-----------+--------+-------+',
    '| shop      | all    | all   |',
    '| tools     | 1 of 2 | -     |',
    '+-----------+--------+-------+',
  ]);
});

test('what cannot be used is named', () => {
  const error = (text: string) => {
    const parsed = parseWhatIf(text);
    return parsed.ok ? '' : parsed.error;
  };
  assert.match(error('kind: Pod\nmetadata: {name: x}'), /^document 1: {2}Pod: use one of Network/);
  assert.match(error('a: [b'), /^document 1: /);
  const selector = 'podSelector: {matchExpressions: [{key: a, operator: Is}]}';
  const bad = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {${selector}}`;
  assert.match(error(bad), /^document 1: .*Is/);
  for (const text of ['0', '70000', '80/icmp', 'x', '80/']) assert.ok(!parsePort(text).ok, text);
  const none = traceCommand({ enforced: world() }, 'shop/none', 'shop/db', port('80'));
  assert.equal(
    none.ok ? '' : none.error,
    "'shop/none' is neither an address nor a pod (namespace/name)",
  );
});

/** `trace` as the command line has it, with a file beside what is stored. */
async function traced(
  stored: PolicyModel,
  text: string,
  ...ends: string[]
): Promise<readonly string[]> {
  const store = memoryStore();
  for (const [path, value] of STORED.get(stored) ?? []) store.put(path, value);
  let printed: readonly string[] = [];
  const program = new Command().exitOverride();
  addPolicyCommands(program, {
    run: async (_format, command) => {
      printed = (await command(store)).lines;
    },
    readFile: () => text,
    served: async () => [],
    notes: async () => [],
  });
  await program.parseAsync(['trace', ...ends, '--with', 'p.yaml'], { from: 'user' });
  return printed;
}

const policy = (kind: string, spec: string): string =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: x, namespace: shop}\nspec: ${spec}\n`;

test('a policy that does not say its directions has those that it would be stored with', async () => {
  const verdict = async (text: string, ...ends: string[]) =>
    (await traced(world(), text, ...ends)).at(-1);
  const ingress = policy('NetworkPolicy', "{selector: app == 'web', ingress: [{action: Allow}]}");
  assert.equal(await verdict(ingress, 'shop/web', 'shop/db'), 'verdict: allow');
  const none = policy('NetworkPolicy', "{selector: app == 'web'}");
  assert.equal(await verdict(none, 'shop/web', 'shop/db'), 'verdict: allow');
  assert.equal(await verdict(none, 'shop/db', 'shop/web'), 'verdict: deny');
  const egress = policy(
    'GlobalNetworkPolicy',
    "{selector: app == 'web', egress: [{action: Deny}]}",
  );
  assert.equal(await verdict(egress, 'shop/db', 'shop/web'), 'verdict: allow');
  assert.equal(await verdict(egress, 'shop/web', 'shop/db'), 'verdict: deny');
  const both = "{selector: app == 'web', ingress: [{action: Allow}], egress: [{action: Deny}]}";
  assert.equal(
    await verdict(policy('NetworkPolicy', both), 'shop/web', 'shop/db'),
    'verdict: deny',
  );
  // The API server adds Egress where there are such rules, and Ingress always.
  const kubernetes = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: x, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, egress: [{ports: [{port: 53, protocol: UDP}]}]}`;
  assert.equal(await verdict(kubernetes, 'shop/web', 'shop/db'), 'verdict: deny');
  assert.equal(await verdict(kubernetes, 'shop/db', 'shop/web'), 'verdict: deny');
  const staged = policy(
    'StagedNetworkPolicy',
    "{selector: app == 'web', ingress: [{action: Allow}]}",
  );
  const lines = await traced(world(), staged, 'shop/web', 'shop/db');
  assert.equal(lines.at(-1), 'with staged policies: allow too');
});

test('a policy in a file that nobody would store is refused, and why is said', async () => {
  const refused = async (text: string, why: RegExp) =>
    assert.rejects(traced(world(), text, 'shop/web', 'shop/db'), why);
  const bad = "{selector: app == 'db}";
  const selector = /^Error: p\.yaml: NetworkPolicy shop\/x: .*unterminated string/s;
  await refused(policy('NetworkPolicy', bad), selector);
  await refused(
    policy('StagedNetworkPolicy', bad),
    /NetworkPolicy shop\/x: .*unterminated string/s,
  );
  const tier = policy('GlobalNetworkPolicy', '{tier: nosuch, selector: all()}');
  await refused(tier, /^Error: p\.yaml: GlobalNetworkPolicy x: there is no tier nosuch$/);
  const ports = '{ingress: [{action: Allow, protocol: TCP, destination: {ports: ["90:80"]}}]}';
  await refused(policy('NetworkPolicy', ports), /Ingress rule 1: .*90:80/);
  const own = `${tier}---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: nosuch}\nspec: {order: 1}\n`;
  await traced(world(), own, 'shop/web', 'shop/db');
});

test('trace tells what of a stored policy cannot be read', () => {
  const model = world();
  put(model, 'networkpolicies/shop/x', 'NetworkPolicy', { selector: "app == 'db", order: 1 });
  assert.match(
    lines(model, 'shop/web', 'shop/db').at(-2) ?? '',
    /^note: NetworkPolicy shop\/x: .*unterminated string/,
  );
});

test('names that every object has are no built-in tiers or profiles', () => {
  const model = world();
  const spec = { selector: "app == 'db'", tier: 'constructor', types: ['Ingress'] };
  put(model, 'globalnetworkpolicies/x', 'GlobalNetworkPolicy', spec);
  assert.equal(lines(model, 'shop/web', 'shop/db').at(-1), 'verdict: deny');
  const closed = world();
  put(closed, 'workloadendpoints/shop/node1-k8s-odd-eth0', 'WorkloadEndpoint', {
    node: 'node1',
    interfaceName: 'caliodd',
    ipNetworks: ['192.168.1.9/32'],
    profiles: ['constructor'],
  });
  assert.equal(lines(closed, 'shop/web', 'shop/odd').at(-1), 'verdict: deny');
});

const SERVICE = `*nat
[0:0] -A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "shop/sql cluster IP" -m tcp --dport 80 -j KUBE-SVC-SQL
[0:0] -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/sql" -m tcp --dport 30080 -j KUBE-EXT-SQL
[0:0] -A KUBE-EXT-SQL -j KUBE-SVC-SQL
[0:0] -A KUBE-SVC-SQL -m comment --comment "shop/sql" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-A -j KUBE-SEP-A
[0:0] -A KUBE-SVC-SQL -m comment --comment "shop/sql" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A
[0:0] -A KUBE-SVC-SQL -m comment --comment "shop/sql" -j KUBE-SEP-B
[0:0] -A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 192.168.1.2:5432
[0:0] -A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 192.168.1.1:5432
COMMIT
`;
const REFUSED = `*filter
[0:0] -A KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/idle has no endpoints" -m tcp --dport 80 -j REJECT
COMMIT
`;

test('trace to a service: its endpoints, their chances, and what policy says of each', () => {
  const filter = parseCounts(REFUSED, 'filter');
  const all = servedAddresses([{ nat: parseCounts(SERVICE, 'nat'), filter }]);
  const models = { enforced: withPolicy() };
  const traced = (from: string, to: string, ports: string) => {
    const served = servedAt(all, models, ip(to), port(ports));
    const output = served && traceService(models, from, served, port(ports));
    assert.ok(output?.ok);
    return output.value;
  };
  const { lines: told, data } = traced('tools/cron', '10.96.0.20', '80');
  assert.deepEqual(told.slice(0, 6), [
    'tools/cron -> service shop/sql, cluster IP 10.96.0.20:80',
    'chain KUBE-SVC-SQL: one of 2 endpoints, each with a chance of 1/2',
    'a client stays at its endpoint for 60 s (session affinity)',
    '  192.168.1.2:5432 shop/db  deny',
    '  192.168.1.1:5432 shop/web  allow',
    '',
  ]);
  assert.equal(told.at(-1), 'verdict of the service: depends on the endpoint');
  assert.equal((data as { verdict: string }).verdict, 'depends on the endpoint');
  // By the port of a node too.
  assert.equal(
    traced('tools/cron', '10.0.0.1', '30080').lines[0],
    'tools/cron -> service shop/sql, node port *:30080',
  );
  assert.equal(
    traced('shop/web', '10.96.0.30', '80').lines.at(-1),
    'verdict: deny, the service has no endpoints',
  );
  assert.equal(servedAt(all, models, ip('10.96.0.20'), port('81')), undefined);
  assert.equal(servedAt(all, models, ip('192.168.1.1'), port('80')), undefined);
});

const FROM_OUTSIDE = `*nat
[0:0] -A KUBE-SERVICES -d 198.51.100.9/32 -p tcp -m comment --comment "shop/sql loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-SQL
[0:0] -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/sql" -m tcp --dport 30080 -j KUBE-EXT-SQL
[0:0] -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30081 -j KUBE-EXT-WEB
[0:0] -A KUBE-FW-SQL -s 203.0.113.0/24 -m comment --comment "shop/sql loadbalancer IP" -j KUBE-EXT-SQL
[0:0] -A KUBE-FW-SQL -m comment --comment "other traffic to shop/sql will be dropped by KUBE-PROXY-FIREWALL"
[0:0] -A KUBE-EXT-SQL -s 192.168.0.0/16 -j KUBE-SVC-SQL
[0:0] -A KUBE-EXT-SQL -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
[0:0] -A KUBE-EXT-SQL -m addrtype --src-type LOCAL -j KUBE-SVC-SQL
[0:0] -A KUBE-EXT-SQL -j KUBE-SVL-SQL
[0:0] -A KUBE-EXT-WEB -s 192.168.0.0/16 -j KUBE-SVC-SQL
[0:0] -A KUBE-SVC-SQL -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A
[0:0] -A KUBE-SVC-SQL -j KUBE-SEP-B
[0:0] -A KUBE-SVL-SQL -j KUBE-SEP-B
[0:0] -A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 192.168.1.2:5432
[0:0] -A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 192.168.1.1:5432
COMMIT
`;

test('trace from outside: endpoints of this node alone, or none, where traffic must stay; source ranges', () => {
  const all = servedAddresses([{ nat: parseCounts(FROM_OUTSIDE, 'nat'), filter: new Map() }]);
  const models = { enforced: world() };
  const told = (from: string, to: string, ports: string): string => {
    const served = servedAt(all, models, ip(to), port(ports));
    const output = served && traceService(models, from, served, port(ports));
    assert.ok(output?.ok);
    const { lines } = output.value;
    return lines.find((line) => /^chain |^verdict: deny, the/.test(line)) ?? '';
  };
  const [two, one] = ['one of 2 endpoints, each with a chance of 1/2', 'one endpoint'];
  assert.equal(told('tools/cron', '10.0.0.1', '30080'), `chain KUBE-EXT-SQL: ${two}`);
  assert.equal(told('203.0.113.7', '10.0.0.1', '30080'), `chain KUBE-EXT-SQL: ${one}`);
  assert.equal(told('10.0.0.1', '10.0.0.1', '30080'), `chain KUBE-EXT-SQL: ${two}`);
  assert.equal(told('203.0.113.7', '198.51.100.9', '80'), `chain KUBE-FW-SQL: ${one}`);
  assert.equal(
    told('203.0.114.7', '198.51.100.9', '80'),
    'verdict: deny, the service takes no calls from there (loadBalancerSourceRanges)',
  );
  assert.equal(
    told('203.0.113.7', '10.0.0.1', '30081'),
    'verdict: deny, the service has no endpoints on this node, where such calls must stay',
  );
});
