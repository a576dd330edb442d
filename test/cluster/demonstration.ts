// The slides' demonstration: two pods on two nodes, a ping and an HTTP request between them over
// routes that our speakers exchanged, then a NetworkPolicy that cuts the request.
import type { Cluster } from './cluster.ts';
import { type Outcome, outcomeOf, until } from './command.ts';
import { PROBE_IMAGE } from './images.ts';
import { table } from './progress.ts';

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

export type Fetch =
  | { readonly kind: 'answered'; readonly text: string }
  | { readonly kind: 'cut' }
  | { readonly kind: 'failed'; readonly cause: string };

// busybox's own `wget -T` crashes in Debian 12's static build; its timeout ends wget by TERM.
const FETCH_SECONDS = 2;
const ENDED_BY_TERM = /exit code 143/;

/** The client asks the server for its page; `cut` means no answer within 2 s. */
export async function fetchPage(cluster: Cluster, ip: string): Promise<Fetch> {
  const wget = ['wget', '-q', '-O', '-', `http://${ip}:8080/`];
  const reply = await inPod(cluster, 'client', ['timeout', String(FETCH_SECONDS), ...wget]);
  if (reply.ok) return { kind: 'answered', text: reply.output.trim() };
  if (ENDED_BY_TERM.test(reply.output)) return { kind: 'cut' };
  return { kind: 'failed', cause: reply.output };
}

/** Asks until the outcome is the wanted one; a request that fails otherwise is asked again. */
export async function fetchUntil(
  cluster: Cluster,
  ip: string,
  wanted: 'answered' | 'cut',
  seconds = 30,
): Promise<string> {
  return until(`the request is ${wanted}`, seconds, async () => {
    const reply = await fetchPage(cluster, ip);
    if (reply.kind !== wanted)
      throw new Error(reply.kind === 'failed' ? reply.cause : `it is ${reply.kind}`);
    return reply.kind === 'answered' ? reply.text : `no answer within ${FETCH_SECONDS} s`;
  });
}

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
  const allowed = await fetchUntil(cluster, serverIp, 'answered');
  await cluster.kubectl(['apply', '-f', '-'], DENY);
  const denied = await fetchUntil(cluster, serverIp, 'cut');
  return { serverIp, clientIp, ping, allowed, denied };
}

/** What was shown, as a table. */
export const demonstrated = (shown: Demonstration): string =>
  table([
    ['CLIENT -> SERVER', `${shown.clientIp} -> ${shown.serverIp}, on two nodes`],
    ['ping', shown.ping],
    ['HTTP', shown.allowed],
    ['HTTP after NetworkPolicy deny-server', shown.denied],
  ]);

/** `ip route` of a node. */
export const routesOf = (cluster: Cluster, node: string): Promise<string> =>
  cluster.enter(node, ['ip', 'route']);
