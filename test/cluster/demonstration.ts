// The slides' demonstration: two pods on two nodes, a ping and an HTTP request between them over
// routes that our speakers exchanged, then a NetworkPolicy that cuts the request.
import type { Cluster } from './cluster.ts';
import { type Outcome, outcomeOf, until } from './command.ts';
import { PROBE_IMAGE } from './images.ts';

export const DEMO = 'demo';

const pod = (name: string, node: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${DEMO}, labels: {app: ${name}}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: probe
    image: ${PROBE_IMAGE}
    command: [sh, -c, 'echo hello from ${name} > /tmp/index.html; exec httpd -f -p 8080 -h /tmp']
    readinessProbe: {exec: {command: [test, -f, /tmp/index.html]}, periodSeconds: 1}
`;

const DENY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-server, namespace: ${DEMO}}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
`;

export interface Demonstration {
  readonly serverIp: string;
  readonly clientIp: string;
  readonly ping: string;
  readonly allowed: string;
  readonly denied: string;
}

export const podIp = (cluster: Cluster, name: string): Promise<string> =>
  cluster.kubectl(['-n', DEMO, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}']);

/** Runs a command in a demonstration pod. */
export const inPod = (cluster: Cluster, name: string, argv: readonly string[]): Promise<Outcome> =>
  outcomeOf(cluster.kubectl(['-n', DEMO, 'exec', name, '--', ...argv]));

/** A page of the server, asked for by the client; gives up after 2 s. */
export const fetchFrom = (cluster: Cluster, ip: string) =>
  inPod(cluster, 'client', ['wget', '-q', '-T', '2', '-O', '-', `http://${ip}:8080/`]);

/** Two pods on the first and the last node, ready. */
export async function startDemonstration(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['create', 'namespace', DEMO]);
  await until('the service account of the demonstration', 20, () =>
    cluster.kubectl(['-n', DEMO, 'get', 'serviceaccount', 'default']),
  );
  const [client, server] = [cluster.nodes.at(-1)!.name, cluster.nodes[0]!.name];
  await cluster.kubectl(
    ['apply', '-f', '-'],
    `${pod('server', server)}---\n${pod('client', client)}`,
  );
  await cluster.kubectl([
    '-n',
    DEMO,
    'wait',
    '--for=condition=Ready',
    'pod',
    '--all',
    '--timeout=60s',
  ]);
}

export async function demonstrate(cluster: Cluster): Promise<Demonstration> {
  const [serverIp, clientIp] = [await podIp(cluster, 'server'), await podIp(cluster, 'client')];
  const ping = await until('the client pings the server', 30, async () => {
    const reply = await inPod(cluster, 'client', [
      'ping',
      '-c',
      '3',
      '-i',
      '0.2',
      '-W',
      '1',
      serverIp,
    ]);
    return reply.ok && (/\d+ packets transmitted.*/.exec(reply.output)?.[0] ?? 'ok');
  });
  const allowed = await until('the request is answered', 30, async () => {
    const reply = await fetchFrom(cluster, serverIp);
    return reply.ok && reply.output.trim();
  });
  await cluster.kubectl(['apply', '-f', '-'], DENY);
  const denied = await until('the NetworkPolicy cuts the request', 30, async () => {
    const reply = await fetchFrom(cluster, serverIp);
    return !reply.ok && /wget: .*timed out/.exec(reply.output)?.[0];
  });
  return { serverIp, clientIp, ping, allowed, denied };
}

/** `ip route` of a node. */
export const routesOf = (cluster: Cluster, node: string): Promise<string> =>
  cluster.enter(node, ['ip', 'route']);
