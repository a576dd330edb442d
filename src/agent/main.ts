// The agent: CNI server, IPAM and policy of one node in one process. `agent.mjs` runs it;
// `agent.mjs install-cni` and `agent.mjs cleanup` are the two short jobs of the same image.
import { existsSync, promises as fs } from 'node:fs';
import { hostname } from 'node:os';
import { systemClock } from '../base/clock.io.ts';
import { type Log, openLog } from '../base/log.io.ts';
import { openRegistry, serveMetrics } from '../base/metrics.io.ts';
import { messageOf } from '../base/op-error.ts';
import { freshTurn } from '../base/pause.io.ts';
import { openStore } from '../datastore/settings.io.ts';
import { openIpSets } from '../kernel/ipset/ipsets.io.ts';
import { openTables } from '../kernel/iptables/tables.io.ts';
import { takeShortTurns } from '../kernel/libc.io.ts';
import { openKernel } from '../kernel/netns.io.ts';
import { openGuard } from '../kernel/nftables/guard.io.ts';
import { openKubernetes } from '../kubernetes/client.io.ts';
import { runAgent } from './agent.io.ts';
import { cleanUpNode } from './clean-up.io.ts';
import { type AgentSettings, parseEnvironment } from './environment.ts';
import { installCni, uninstallCni } from './install-cni.io.ts';
import { soleAgent } from './life/sole-agent.io.ts';
import { kubeProxyAnswers } from './services/live-proxy.io.ts';
import { type NodeServicesParts, openNodeServices } from './services/open.io.ts';

const STATE_PATHS = ['/var/lib/calico', '/var/run/calico'];

async function agent(log: Log): Promise<void> {
  const settings = parseEnvironment(process.env);
  if (!settings.ok) throw new Error(settings.error);
  takeShortTurns(); // on a busy node calls would wait longer for its turn than for its work
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.once('SIGINT', () => stop.abort());
  await soleAgent(settings.value.socketPath, log, stop.signal);
  if (stop.signal.aborted) return;
  const registry = openRegistry();
  if (settings.value.metricsEnabled) serveMetrics(registry, settings.value.metricsPort);
  const kernel = openKernel(process.env['CALICO_PROC_SYS_NET']);
  const kubernetes = settings.value.kubernetes ? await openKubernetes() : undefined;
  await freshTurn();
  await runAgent({
    settings: settings.value,
    env: process.env,
    store: openStore(settings.value.etcd, log),
    kernel,
    tables: await openTables({}),
    ipv6Tables: await openIpv6Tables(),
    ipSets: await openIpSets({}),
    guards: openGuards(),
    kubernetes,
    services: await openServices(settings.value, { kubernetes, kernel, log, registry }),
    clock: systemClock,
    log,
    registry,
    signal: stop.signal,
  });
}

/** Kubernetes' name of the node: the datastore, which may tell another, may be behind a service. */
const openServices = async (
  { serviceProxy }: AgentSettings,
  parts: Omit<NodeServicesParts, 'node' | 'settings'>,
) => {
  const node =
    process.env['CALICO_K8S_NODE_REF'] || process.env['NODENAME'] || hostname().toLowerCase();
  return serviceProxy && openNodeServices({ ...parts, node, settings: serviceProxy });
};

const openIpv6Tables = async () =>
  existsSync('/proc/net/if_inet6') ? openTables({ family: 6 }) : undefined;

const openGuards = () => ({ 4: openGuard(4), 6: openGuard(6) });

async function cleanup(log: Log): Promise<void> {
  const tables = await openTables({});
  const ipv6Tables = await openIpv6Tables();
  const ipSets = await openIpSets({});
  await cleanUpNode({
    kernel: openKernel(process.env['CALICO_PROC_SYS_NET']),
    tables,
    ipv6Tables,
    ipSets,
    guards: openGuards(),
    paths: STATE_PATHS,
    removeCni: () => uninstallCni(process.env),
    releasesServices: process.env['CALICO_SERVICE_PROXY'] === 'true' && !(await kubeProxyAnswers()),
    log,
  });
  await tables.close();
  await ipv6Tables?.close();
  await ipSets.close(); // with its own small set
}

async function main(): Promise<void> {
  // libuv's pool threads inherit the namespace of the thread that starts them: start them here.
  await fs.readFile('/proc/self/comm');
  const command = process.argv[2] ?? 'agent';
  const log = openLog('calico-node', process.env['LOG_LEVEL'] ?? 'info');
  const jobs: Record<string, () => Promise<void> | void> = {
    agent: () => agent(log),
    'install-cni': () => installCni(process.env),
    cleanup: () => cleanup(log),
  };
  const job = jobs[command];
  if (!job)
    throw new Error(`unknown command '${command}'; use one of ${Object.keys(jobs).join(', ')}`);
  await job();
}

main().then(
  () => process.exit(0),
  (cause) => {
    openLog('calico-node').fatal({ cause: messageOf(cause) }, 'the agent ends');
    process.exit(1);
  },
);
