// One peer's figures; this process is in the peer's namespace.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AGENT_FLAGS, AGENT_MEMORY } from '../../../src/deploy/constructs/calico-node.ts';
import { openTables } from '../../../src/kernel/iptables/tables.io.ts';
import type { WholeObject } from '../../../src/kubernetes/api.ts';
import { toolPath } from '../../cluster/tools.ts';
import { attempt, run } from '../../lab/command.ts';
import { type FakeApiServer, startFakeApiServer } from '../../lab/fake-api-server.ts';
import { median } from '../figures.ts';
import { Chains } from './chains.ts';
import { aheadChain, type Chain, endpointChain, nftablesChain, service, slice } from './objects.ts';

export interface Measured {
  /** From its start until the kernel has the last service. */
  readonly fullMs: number;
  /** Until packets to it go where they shall: ours are served ahead of the rules. */
  readonly addedMs: number;
  /** Until its rules are in the kernel. */
  readonly addedRulesMs: number;
  /** The lines of a service through a restore child that is kept open, beside all the others: what no
   *  program of ours can do without. Of our run alone. */
  readonly floorMs?: number;
  /** Processor time of the first sync, until the kernel has all. */
  readonly fullCpuMs: number;
  /** Processor time from the storm's beginning until its last change is in the kernel. */
  readonly stormCpuMs: number;
  /** From the storm's last change until the kernel has it. */
  readonly stormMs: number;
  readonly rssMib: number;
}

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const [SERVICES, ADDED, STORM] = [
  number('SERVICES', 10_000),
  number('ADDED', 10),
  number('STORM', 1000),
];
/** kube-proxy's one transaction of 110,000 lines takes minutes: its child looks each chain's name up in
 *  a list of all. */
const PATIENCE_MILLISECONDS = 1_200_000;
const STORM_MILLISECONDS = 1000;
const TICK_MILLISECONDS = 10;

// Both watch the same paths; our watches have names of their own only inside.
const put = (api: FakeApiServer, kind: 'services' | 'endpointslices', object: WholeObject): void =>
  api.put(kind as 'wholeservices', object);

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

const chains = new Chains();

const isThere = ({ table, name, text }: Chain): boolean =>
  text === undefined
    ? chains.has(table, name)
    : attempt(['nft', 'list', 'chain', 'ip', table, name]).output.includes(text);

async function untilThere(...either: readonly Chain[]): Promise<void> {
  const [chain] = either as [Chain];
  const startedAt = performance.now();
  while (!either.some(isThere)) {
    if (performance.now() - startedAt > PATIENCE_MILLISECONDS)
      throw new Error(`chain ${chain.name} did not come`);
    await pause(1);
  }
}

/** The lists are complete, and packets come there: what a first sync in several transactions ends with. */
async function untilHooked(): Promise<void> {
  const saved = () => attempt(['iptables-nft', '-t', 'nat', '-S', 'OUTPUT']).output;
  while (!saved().includes('-j KUBE-SERVICES')) await pause(10);
}

async function startPeer(name: string, api: FakeApiServer): Promise<ChildProcess> {
  const stdio = ['ignore', 'ignore', process.env['DEBUG'] ? 'inherit' : 'ignore'] as const;
  if (name === 'ours') {
    const program = join(process.argv[3]!, 'ours.mjs'); // bundled, as it is shipped
    const words = [...AGENT_FLAGS, program, new URL(api.url).port, api.account];
    const env = { ...process.env, [AGENT_MEMORY.name]: AGENT_MEMORY.value };
    return spawn(process.execPath, words, { stdio: [...stdio], env });
  }
  const config = join(dirname(api.kubeconfig), 'kube-proxy.yaml');
  writeFileSync(config, kubeProxyConfig(api.kubeconfig, name));
  return spawn(await toolPath('kube-proxy'), ['--config', config], { stdio: [...stdio] });
}

// Never touch the machine-wide conntrack limits; this bench's API server knows lists, and watches from
// a version.
const kubeProxyConfig = (
  kubeconfig: string,
  mode: string,
): string => `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${mode}
clusterCIDR: 10.0.0.0/8
hostnameOverride: n1
clientConnection: {kubeconfig: ${kubeconfig}, contentType: application/json, acceptContentTypes: application/json}
conntrack: {maxPerCore: 0, min: 0}
iptables: {localhostNodePorts: false}
featureGates: {WatchListClient: false}
`;

/** The process and all that it started, those that live and those it waited for. */
function family(pid: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const { ok, output } = attempt(['cat', `/proc/${name}/stat`]);
      return ok
        ? [[Number(name), Number(output.replace(/^.*\) /, '').split(' ')[1])] as const]
        : [];
    });
  const grown = [pid];
  for (const one of grown)
    for (const [child, parent] of parents) if (parent === one) grown.push(child);
  return grown;
}

const TICKS_PER_SECOND = 100;

/** Empty when the process has ended meanwhile: kube-proxy starts a command for each look at tables. */
function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/** Milliseconds. */
const processorTime = (pid: number): number =>
  family(pid).reduce((sum, one) => {
    const fields = procFile(one, 'stat')
      .replace(/^.*\) /, '')
      .split(' ');
    if (fields.length < 15) return sum;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5).
    const ticks = fields.slice(11, 15).reduce((total, text) => total + Number(text), 0);
    return sum + (1000 * ticks) / TICKS_PER_SECOND;
  }, 0);

const residentMib = (pid: number): number =>
  family(pid).reduce((sum, one) => {
    const kib = /^VmRSS:\s+(\d+)/m.exec(procFile(one, 'status'))?.[1];
    return sum + Number(kib ?? 0) / 1024;
  }, 0);

type ChainOf = (i: number, round?: number) => Chain;

async function storm(api: FakeApiServer, chainOf: ChainOf): Promise<number> {
  const ticks = STORM_MILLISECONDS / TICK_MILLISECONDS;
  for (let tick = 0; tick < ticks; tick++) {
    const [from, to] = [tick, tick + 1].map((t) => Math.round((t * STORM) / ticks));
    for (let i = from!; i < to!; i++) put(api, 'endpointslices', slice(i % SERVICES, 1));
    await pause(TICK_MILLISECONDS);
  }
  const ended = performance.now();
  await untilThere(chainOf((STORM - 1) % SERVICES, 1));
  return performance.now() - ended;
}

/** In the tables that our run left behind. */
async function floor(): Promise<number> {
  const tables = await openTables({ backend: 'nft' });
  const times: number[] = [];
  for (let i = 0; i <= ADDED; i++) {
    const lines = linesOfService(i);
    const at = performance.now();
    await tables.commit({ table: 'nat', lines });
    times.push(performance.now() - at);
  }
  await tables.close();
  return median(times.slice(1)); // the first starts the child
}

function linesOfService(i: number): readonly string[] {
  const [chain, ends] = [`KUBE-SVC-FLOOR${i}`, [0, 1].map((n) => `KUBE-SEP-FLOOR${i}-${n}`)];
  const words = (text: string) => `-m comment --comment "bench/floor-${i}:http${text}"`;
  const to = `-m tcp -p tcp -d 10.97.0.${i} --dport 80`;
  return [
    ...[chain, ...ends].map((name) => `:${name} - [0:0]`),
    `-A ${chain} ${words(' cluster IP')} ${to} ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`,
    `-A ${chain} ${words(' -> 10.0.0.1')} -m statistic --mode random --probability 0.5 -j ${ends[0]}`,
    `-A ${chain} ${words(' -> 10.0.0.2')} -j ${ends[1]}`,
    ...ends.flatMap((name, n) => [
      `-A ${name} ${words('')} -s 10.0.0.${n} -j KUBE-MARK-MASQ`,
      `-A ${name} ${words('')} -m tcp -p tcp -j DNAT --to-destination 10.0.0.${n}:8080`,
    ]),
    `-I KUBE-SERVICES ${words(' cluster IP')} ${to} -j ${chain}`,
  ];
}

async function measure(peer: string): Promise<Measured> {
  const chainOf = peer === 'nftables' ? nftablesChain : endpointChain;
  const api = await startFakeApiServer();
  for (let i = 0; i < SERVICES; i++) {
    put(api, 'services', service(i));
    put(api, 'endpointslices', slice(i));
  }
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: {} };
  const addresses = [{ type: 'InternalIP', address: '10.201.0.1' }];
  api.put('nodes', { ...node, status: { addresses } });
  const startedAt = performance.now();
  const child = await startPeer(peer, api);
  try {
    await untilThere(chainOf(SERVICES - 1));
    if (peer !== 'nftables') await untilHooked();
    const fullMs = performance.now() - startedAt;
    const fullCpuMs = processorTime(child.pid!);
    const [added, addedRules]: [number[], number[]] = [[], []];
    for (let i = SERVICES; i < SERVICES + ADDED; i++) {
      await pause(2000);
      const at = performance.now();
      put(api, 'services', service(i));
      put(api, 'endpointslices', slice(i));
      await untilThere(chainOf(i), aheadChain(i));
      added.push(performance.now() - at);
      await untilThere(chainOf(i));
      addedRules.push(performance.now() - at);
    }
    const before = processorTime(child.pid!);
    const stormMs = await storm(api, chainOf);
    const stormCpuMs = processorTime(child.pid!) - before;
    const rssMib = residentMib(child.pid!);
    child.kill('SIGKILL');
    const floorMs = peer === 'ours' ? { floorMs: await floor() } : {};
    const [addedMs, addedRulesMs] = [median(added), median(addedRules)];
    return { ...floorMs, fullMs, fullCpuMs, addedMs, addedRulesMs, stormMs, stormCpuMs, rssMib };
  } finally {
    child.kill('SIGKILL');
    api.close();
  }
}

run(['ip', 'link', 'set', 'lo', 'up']);
run(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0-peer']);
run(['ip', 'address', 'add', '10.201.0.1/24', 'dev', 'eth0']);
run(['ip', 'link', 'set', 'eth0', 'up']);
console.log(JSON.stringify(await measure(process.argv[2]!)));
process.exit(0);
