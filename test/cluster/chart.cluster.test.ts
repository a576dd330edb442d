// The chart on a real cluster: install, the slides' demonstration, policies, restart, upgrade, and
// an uninstall that leaves nothing. One cluster for the whole file.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runSubset } from '../conformance/conform.ts';
import { helmArguments, installChart, prepareCluster } from './bring-up.ts';
import { calicoPods, calicoReady, lastWords, NAMESPACE, whyNotReady } from './calico-pods.ts';
import { dryRun, exampleFiles, helmTest, upgradeWith } from './chart-values.ts';
import { outcomeOf, until } from './command.ts';
import {
  DEMO,
  demonstrate,
  fetchUntil,
  inPod,
  podIp,
  routesOf,
  startDemonstration,
} from './demonstration.ts';
import { guardsOf, withFlushedNodes } from './guard.ts';
import { PROBE_IMAGE } from './images.ts';
import { netnsCluster } from './netns/netns-cluster.ts';
import { openProgress } from './progress.ts';
import { runShown } from './readme/run.ts';
import { forbidden, unusedRights } from './rights.ts';
import { crdFolder } from './schemas.ts';
import { secretsShown } from './secrets.ts';
import {
  handServicesBack,
  serveDemonstration,
  servicesOf,
  startRequests,
  takeServicesOver,
} from './service-proxy.ts';
import { startTraffic } from './traffic.ts';

const cluster = netnsCluster(3);
const progress = openProgress((line) => console.error(line));
const kubectl = (...args: string[]) => cluster.kubectl(args);
const [first, last] = [cluster.nodes[0]!.name, cluster.nodes.at(-1)!.name];

const policy = (name: string, spec: object): string =>
  JSON.stringify({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: DEMO },
    spec,
  });

const server = { podSelector: { matchLabels: { app: 'server' } } };

async function apply(name: string, spec: object): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], policy(name, spec));
}

const answered = (ip: string): Promise<string> => fetchUntil(cluster, ip, 'answered', 20);
const refused = (ip: string): Promise<string> => fetchUntil(cluster, ip, 'cut', 20);

async function etcdGet(prefix: string, ...flags: string[]): Promise<string> {
  const { toolPath } = await import('./tools.ts');
  return cluster.enter(first, [
    await toolPath('etcdctl'),
    '--endpoints=http://127.0.0.1:6666',
    'get',
    '--prefix',
    prefix,
    ...flags,
  ]);
}

/** `ip link` of eth0 in a pod that is made for it. */
async function linkOfNewPod(): Promise<string> {
  const spec = { nodeName: first, terminationGracePeriodSeconds: 0 };
  const how = ['--image', PROBE_IMAGE, '--overrides', JSON.stringify({ spec })];
  await kubectl('-n', DEMO, 'run', 'fresh', ...how, '--', 'sleep', '600');
  await kubectl('-n', DEMO, 'wait', '--for=condition=Ready', 'pod/fresh', '--timeout=60s');
  const { output } = await inPod(cluster, 'fresh', ['ip', 'link', 'show', 'eth0']);
  await kubectl('-n', DEMO, 'delete', 'pod', 'fresh', '--wait');
  return output;
}

describe('the chart on a cluster', { timeout: 1_800_000 }, () => {
  let serverIp = '';
  const linksBefore = new Map<string, string>();

  before(async () => {
    await prepareCluster(cluster, progress);
    for (const { name } of cluster.nodes) linksBefore.set(name, await stateOf(name));
    await installChart(cluster, progress);
    await startDemonstration(cluster);
  });
  after(() => cluster.delete());

  test('calico-etcd, calico-node 2/2 and calico-kube-controllers run, without restarts', async () => {
    const pods = await calicoPods(cluster);
    assert.equal(
      pods.filter((p) => p.name.startsWith('calico-node-') && p.ready === '2/2').length,
      3,
    );
    const restarted = pods.filter((pod) => pod.restarts > 0).map((pod) => pod.name);
    assert.deepEqual(restarted, [], restarted.length > 0 ? await lastWords(cluster) : '');
    for (const pod of pods)
      assert.match(pod.ip, /^10\.200\.0\./, 'pod addresses are node addresses');
  });

  test('the demonstration: ping and HTTP across nodes, a NetworkPolicy cuts it', async () => {
    const shown = await demonstrate(cluster);
    serverIp = shown.serverIp;
    assert.match(shown.ping, / 0% packet loss/);
    assert.equal(shown.allowed, 'hello from server');
    assert.notEqual(shown.denied, '');
  });

  test('the route tables have the shape of the slides', async () => {
    for (const { name, address } of cluster.nodes) {
      const routes = await routesOf(cluster, name);
      for (const other of cluster.nodes.filter(
        (n) => n.name !== name && [first, last].includes(n.name),
      )) {
        assert.match(
          routes,
          new RegExp(`^192\\.168\\.\\d+\\.\\d+/26 via ${other.address} dev eth0 proto bird`, 'm'),
          routes,
        );
      }
      if (name !== first && name !== last) continue;
      assert.match(
        routes,
        /^blackhole 192\.168\.\d+\.\d+\/26 proto bird\s*$/m,
        `${name} ${address}\n${routes}`,
      );
      assert.match(routes, /^192\.168\.\d+\.\d+ dev cali[0-9a-f]{11} scope link/m, routes);
    }
  });

  test('metrics on 9091, liveness and readiness of every part', async () => {
    const get = (path: string) =>
      cluster.enter(first, ['curl', '-sf', '--max-time', '5', `http://127.0.0.1:${path}`]);
    assert.match(await get('9091/metrics'), /^felix_active_local_endpoints \d+$/m);
    for (const port of [9099, 9098]) {
      assert.equal((await get(`${port}/liveness`)).trim(), 'live');
      assert.equal((await get(`${port}/readiness`)).trim(), 'ready');
    }
  });

  test('ingress by pod selector and port; egress by ipBlock', async () => {
    const from = [{ podSelector: { matchLabels: { app: 'client' } } }];
    await apply('deny-server', {
      ...server,
      policyTypes: ['Ingress'],
      ingress: [{ from, ports: [{ port: 8080 }] }],
    });
    await answered(serverIp);
    await apply('deny-server', {
      ...server,
      policyTypes: ['Ingress'],
      ingress: [{ from, ports: [{ port: 81 }] }],
    });
    await refused(serverIp);
    await apply('deny-server', {
      ...server,
      policyTypes: ['Ingress'],
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': DEMO } } }] },
      ],
    });
    await answered(serverIp);
    const client = { podSelector: { matchLabels: { app: 'client' } }, policyTypes: ['Egress'] };
    await apply('client', { ...client, egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] });
    await refused(serverIp);
    await apply('client', {
      ...client,
      egress: [{ to: [{ ipBlock: { cidr: `${serverIp}/32` } }] }],
    });
    await answered(serverIp);
    await kubectl('-n', DEMO, 'delete', 'networkpolicy', '--all');
    await answered(serverIp);
  });

  test('while no agent can repair what others flush, nothing forbidden passes', async () => {
    await apply('deny-server', { ...server, policyTypes: ['Ingress'] });
    await refused(serverIp);
    await withFlushedNodes(cluster, async () => {
      await refused(serverIp);
    });
    await kubectl('-n', DEMO, 'delete', 'networkpolicy', 'deny-server');
    await answered(serverIp);
    const guards = await guardsOf(cluster);
    assert.ok(guards.length > 0 && guards.every(({ stands }) => stands), JSON.stringify(guards));
    assert.ok(
      guards.some(({ dropped }) => dropped > 0),
      'it was the guard that stopped it',
    );
  });

  test('a change of a pod label moves it in and out of a policy', async () => {
    await apply('by-label', {
      ...server,
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { role: 'friend' } } }] }],
    });
    await refused(serverIp);
    await kubectl('-n', DEMO, 'label', 'pod', 'client', 'role=friend');
    await answered(serverIp);
    await kubectl('-n', DEMO, 'delete', 'networkpolicy', 'by-label');
  });

  test('every command of the READMEs and runbooks does what it says it does', async () => {
    assert.deepEqual(await runShown(cluster), []);
  });

  test('another podSubnet is refused before anything changes; rollback and upgrades go on', async () => {
    const values = ['networking.podSubnet=10.244.0.0/16', 'networking.bgp.asnumber=65001'];
    const set = values.flatMap((value) => ['--set', value]);
    const traffic = await startTraffic(cluster, serverIp);
    const state = (): Promise<string> =>
      kubectl('-n', NAMESPACE, 'get', 'configmaps,daemonsets,deployments', '-o', GENERATIONS);
    const before = await state();
    const refusal = await outcomeOf(cluster.helm([...helmArguments('upgrade'), ...set]));
    assert.equal(refusal.ok, false);
    assert.match(
      refusal.output,
      /networking\.podSubnet: 10\.244\.0\.0\/16 is refused: pool default-ipv4-ippool has 192\.168\.0\.0\/16, and [1-9]\d* of its addresses are in use/,
    );
    assert.match(refusal.output, /To renumber: add 10\.244\.0\.0\/16 to networking\.pools/);
    assert.equal(await state(), before);
    await cluster.helm(['rollback', 'calico', '--namespace', NAMESPACE, '--wait']);
    await cluster.helm([...helmArguments('upgrade'), '--wait']);
    const job = await outcomeOf(kubectl('-n', NAMESPACE, 'get', 'job', 'calico-pools-check'));
    assert.match(job.output, /not found/, 'it goes with the next upgrade');
    assert.equal((await traffic.stop()).lost, 0);
  });

  test('a password of all sessions: they come up with it, and nothing shows it', async () => {
    const password = 'correct-horse-battery-staple';
    await kubectl(
      '-n',
      NAMESPACE,
      'create',
      'secret',
      'generic',
      'bgp-secrets',
      `--from-literal=mesh=${password}`,
    );
    const reference = 'bgpConfiguration.nodeMeshPassword.secretKeyRef';
    const values = [`${reference}.name=bgp-secrets`, `${reference}.key=mesh`];
    const set = values.flatMap((value) => ['--set', value]);
    await cluster.helm([...helmArguments('upgrade'), ...set, '--wait']);
    const bgp = '/calico/resources/v3/projectcalico.org/bgpconfigurations/default';
    await until('the settings are stored', 60, async () =>
      (await etcdGet(bgp)).includes('"nodeMeshPassword"'),
    );
    await until('sessions are signed', 60, async () =>
      /md5/i.test(await cluster.enter(first, ['ss', '-tneiH', 'sport = :179 or dport = :179'])),
    );
    await calicoReady(cluster);
    await answered(serverIp);
    const token = await cluster.enter(first, ['cat', '/etc/cni/net.d/calico-kubeconfig']);
    const secrets = [password, btoa(password), /token: "?([^"\s]+)/.exec(token)?.[1] ?? password];
    const { shown, looked } = await secretsShown(cluster, secrets, await etcdGet('/calico/'));
    assert.deepEqual(shown, []);
    assert.ok(looked > 10);
    await cluster.helm([...helmArguments('upgrade'), '--wait']);
    await until(
      'the field went with the value',
      60,
      async () => !(await etcdGet(bgp)).includes('"nodeMeshPassword"'),
    );
    await kubectl('-n', NAMESPACE, 'delete', 'secret', 'bgp-secrets');
    await calicoReady(cluster);
  });

  test('NetworkPolicy specs of Kubernetes’ own suite', { timeout: 900_000 }, async () => {
    const results = await runSubset(cluster, progress, ['netpol']);
    assert.ok(results.length > 0);
    assert.deepEqual(
      results.filter(({ state }) => state !== 'passed'),
      [],
    );
  });

  test('a restart of the agent loses no packet', async () => {
    const traffic = await startTraffic(cluster, serverIp);
    await endProgram(last, 'agent.mjs');
    await until('the agent was started again', 60, async () =>
      (await calicoPods(cluster)).some((pod) => pod.node === last && pod.restarts === 1),
    );
    await calicoReady(cluster);
    await traffic.goesOn(100);
    const { sent, lost } = await traffic.stop();
    assert.equal(lost, 0, `${lost} of ${sent} packets`);
  });

  test('upgrade and rollback that restart every pod lose none of 100 packets a second', async () => {
    const traffic = await startTraffic(cluster, serverIp);
    const restarting = ['conf.node.LOG_LEVEL=debug', 'pod.kube_controllers.host_network=false'];
    const set = restarting.flatMap((value) => ['--set', value]);
    await cluster.helm([...helmArguments('upgrade'), ...set, '--wait']);
    await calicoReady(cluster);
    await cluster.helm(['rollback', 'calico', '--namespace', NAMESPACE, '--wait']);
    await calicoReady(cluster);
    const { sent, lost } = await traffic.stop();
    assert.ok(sent > 1000, `${sent} packets`);
    assert.equal(lost, 0, `${lost} of ${sent} packets`);
  });

  test('VXLAN without speakers and back under traffic: a second of packets a turn at most', async () => {
    const overlay = /^192\.168\.\d+\.\d+\/26 via \S+ dev vxlan\.calico (proto 80 )?onlink/m;
    const routesAre = (what: string, holds: (routes: string) => boolean): Promise<unknown> =>
      until(what, 60, async () => holds(await routesOf(cluster, first)));
    const upgrade = async (...set: readonly string[]): Promise<void> => {
      await cluster.helm([...helmArguments('upgrade'), ...set.flatMap((one) => ['--set', one])]);
      const node = ['daemonset/calico-node', '--namespace', NAMESPACE];
      await kubectl('rollout', 'status', ...node, '--timeout=240s');
    };
    const traffic = await startTraffic(cluster, serverIp);
    const always = 'networking.settings.ippool.vxlan.mode=Always';
    await upgrade(always);
    await routesAre('routes lead over vxlan.calico', (routes) => overlay.test(routes));
    // The runtime's configuration still has that of before.
    assert.match(await linkOfNewPod(), /mtu 1450 /);
    await inPod(cluster, 'server', ['sh', '-c', 'head -c 10485760 /dev/zero > /tmp/large']);
    const fetch = `wget -q -O - http://${serverIp}:8080/large | wc -c`;
    const { output } = await inPod(cluster, 'client', ['sh', '-c', fetch]);
    assert.equal(output.trim(), '10485760');
    await upgrade(always, 'conf.node.CALICO_NETWORKING_BACKEND=vxlan');
    // The first speaker that comes back has no peer that could answer it.
    await upgrade(always);
    await calicoReady(cluster);
    await upgrade();
    await calicoReady(cluster);
    await routesAre('no route leads over vxlan.calico', (routes) => !/vxlan|proto 80/.test(routes));
    const { sent, lost } = await traffic.stop();
    assert.ok(lost <= 2 * 100, `${lost} of ${sent} packets`);
    // It goes after its routes.
    const device = ['ip', 'link', 'show', 'vxlan.calico'];
    await until('vxlan.calico is gone', 10, async () => {
      const { ok } = await outcomeOf(cluster.enter(first, device));
      return !ok;
    });
  });

  test('an interface that carries less than pods are meant to get is an event of the node', async () => {
    const resize = (mtu: number): Promise<string> =>
      cluster.enter(last, ['ip', 'link', 'set', 'eth0', 'mtu', String(mtu)]);
    const events = (): Promise<string> => kubectl('describe', 'node', last);
    await resize(1400);
    await until('kubectl describe node shows it', 30, async () =>
      /Warning +MTUMismatch .*eth0 carries 1400/.test(await events()),
    );
    await resize(1500);
  });

  test('a new pod of calico-node brings the routes back', async () => {
    const mine = ['-l', 'k8s-app=calico-node', '--field-selector', `spec.nodeName=${last}`];
    await kubectl('-n', NAMESPACE, 'delete', 'pod', ...mine);
    await calicoReady(cluster);
    await answered(serverIp);
  });

  test('Services from kube-proxy to calico-node and back: of 10,000 requests none fails', async (t) => {
    const address = await serveDemonstration(cluster);
    const requests = await startRequests(cluster, last, address, 10_000);
    await takeServicesOver(cluster);
    const node = (await calicoPods(cluster)).find(({ name }) => name.startsWith('calico-node-'))!;
    const shown = await servicesOf(cluster, node.name);
    assert.match(
      shown,
      /\| default\/kubernetes:https +\| tcp +\| cluster IP +\| 10\.96\.0\.1:443 /,
    );
    assert.match(await helmTest(cluster), /all 6 checks passed/);
    await handServicesBack(cluster);
    const { asked, failures, late } = await requests.stop();
    t.diagnostic(`${asked} requests, ${late} of them slower than 0.9 s`);
    assert.deepEqual(failures, []);
    assert.ok(asked >= 10_000, `${asked} requests`);
  });

  test('deleting a pod frees its address; the datastore agrees', async () => {
    const ip = await podIp(cluster, 'client');
    const before = await etcdGet('/calico/ipam/v2/handle/', '--keys-only');
    await kubectl('-n', DEMO, 'delete', 'pod', 'client', '--wait');
    await until(
      'the handle is gone',
      20,
      async () => (await etcdGet('/calico/ipam/v2/handle/', '--keys-only')) !== before,
    );
    // The link goes in the background, once the release is durable, and its route with it.
    await until(
      'the route is gone',
      5,
      async () => !(await routesOf(cluster, last)).includes(`${ip} dev`),
    );
    assert.doesNotMatch(
      await etcdGet('/calico/resources/v3/projectcalico.org/workloadendpoints/', '--keys-only'),
      /-k8s-client-/,
    );
  });

  test('upgrade with a changed value: the AS number reaches the datastore, node pods stay', async () => {
    const before = (await calicoPods(cluster))
      .filter((p) => p.name.startsWith('calico-node-'))
      .map((p) => p.name)
      .sort();
    await cluster.helm([
      ...helmArguments('upgrade'),
      '--set',
      'networking.bgp.asnumber=4200000000',
    ]);
    await until('the AS number is stored', 60, async () =>
      (await etcdGet('/calico/resources/v3/projectcalico.org/bgpconfigurations/default')).includes(
        '"asNumber":4200000000',
      ),
    );
    await until('sessions are up again', 60, async () =>
      (await routesOf(cluster, last)).includes(
        `via ${cluster.nodes[0]!.address} dev eth0 proto bird`,
      ),
    );
    const now = (await calicoPods(cluster))
      .filter((p) => p.name.startsWith('calico-node-'))
      .map((p) => p.name)
      .sort();
    assert.deepEqual(now, before);
  });

  test('every example of the chart passes the API server’s strict dry run', async () => {
    await kubectl('apply', '--server-side', '--filename', await crdFolder());
    await kubectl('wait', '--for=condition=Established', 'crd', '--all');
    for (const file of exampleFiles()) assert.match(await dryRun(cluster, file), /dry run/);
  });

  test('pools and policies of the settings come into the datastore and go again', async () => {
    const names = ['ippools/edge', 'tiers/security', 'globalnetworkpolicies/no-metadata'];
    const stored = async (): Promise<readonly string[]> => {
      const keys = await etcdGet('/calico/resources/', '--keys-only');
      return names.filter((name) => keys.includes(`/${name}\n`));
    };
    await upgradeWith(cluster, 'pools-and-policies-values.yaml');
    await until('they are stored', 60, async () => (await stored()).length === names.length);
    await cluster.helm([...helmArguments('upgrade'), '--wait']);
    // Pods may have addresses of a pool: it stays, and gives out no more.
    await until('they are gone', 60, async () => (await stored()).join() === 'ippools/edge');
    const pool = '/calico/resources/v3/projectcalico.org/ippools/edge';
    await until('the pool is disabled', 20, async () =>
      (await etcdGet(pool)).includes('"disabled":true'),
    );
  });

  test('helm test: pods on every node reach each other and a service, and policy holds', async () => {
    assert.match(await helmTest(cluster), /all 6 checks passed/);
  });

  test('programs ask for nothing that is forbidden, and have no right that they do not use', async () => {
    assert.deepEqual(forbidden(), []);
    assert.deepEqual(await unusedRights(cluster), []);
  });

  test('a setting that the machine cannot serve is said plainly, with the way out', async (t) => {
    const tunnel = await outcomeOf(cluster.enter(first, ['ip', 'link', 'show', 'tunl0']));
    if (tunnel.ok) return t.skip('this kernel has IP-in-IP');
    const mode = 'networking.settings.ippool.ipip.mode';
    await cluster.helm([...helmArguments('upgrade'), '--set', `${mode}=Always`]);
    const reason = await until('every agent objects', 30, async () => {
      const reasons = await whyNotReady(cluster);
      return reasons.find((r) => cluster.nodes.every(({ name }) => r.includes(name)));
    });
    assert.match(reason, /agent: .*ipipMode Always.* no IP-in-IP/);
    assert.match(reason, new RegExp(`set ${mode}: Never`));
    await cluster.helm(helmArguments('upgrade'));
    await calicoReady(cluster);
    return undefined;
  });

  test('uninstall leaves no chain, route, link or file', async () => {
    await kubectl('delete', 'namespace', DEMO, '--wait');
    await cluster.helm([
      'uninstall',
      'calico',
      '--namespace',
      NAMESPACE,
      '--wait',
      '--timeout',
      '3m',
    ]);
    for (const { name } of cluster.nodes) {
      await until(`${name} is clean`, 60, async () => {
        const state = await stateOf(name);
        if (state !== linksBefore.get(name))
          throw new Error(`${state}\n--- before:\n${linksBefore.get(name)}`);
        return true;
      });
    }
    const conditions = '{range .items[*]}{range .status.conditions[*]}{.type}={.status} {end}{end}';
    await until('nodes say what is so: they are not ready, and nothing of ours', 60, async () => {
      const said = await kubectl('get', 'nodes', '-o', `jsonpath=${conditions}`);
      if (/NetworkUnavailable| Ready=True/.test(said)) throw new Error(said);
      return true;
    });
  });
});

/** Changes whenever an object's spec or data does. */
const GENERATIONS =
  'custom-columns=K:.kind,N:.metadata.name,G:.metadata.generation,V:.metadata.annotations,D:.data';

/** Ends a program of calico-node as a crash would. */
async function endProgram(node: string, program: string): Promise<void> {
  await cluster.enter(node, [
    'pkill',
    '-KILL',
    '-f',
    `^/usr/local/bin/node .*/opt/calico/${program}`,
  ]);
}

/** Everything of ours that a node could hold: links, routes, rules, chains, sets, files. */
async function stateOf(node: string): Promise<string> {
  const script = `ip -br link | awk '{print $1}' | grep -v '^lo'; ip route show table all; ip rule
    iptables-nft-save 2>/dev/null | grep cali; iptables-legacy-save 2>/dev/null | grep cali
    ip6tables-nft-save 2>/dev/null | grep cali; nft list tables 2>/dev/null | grep calico
    ipset list -n | grep cali
    find /etc/cni/net.d /opt/cni/bin /var/lib/calico /run/calico ! -type d 2>/dev/null; true`;
  return cluster.enter(node, ['bash', '-c', script]);
}
