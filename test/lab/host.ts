// One host of the lab: a network namespace with the real agent and speaker as processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { attempt, eventually, run } from './command.ts';

const NODE = process.execPath;
const ROOT = join(import.meta.dirname, '../..');
/** Where bundled programs are, as in the images; absent: the sources are run. */
const PROGRAMS = process.env['CALICO_KIT_PROGRAMS'];

export interface CniReply {
  readonly exit: number;
  readonly stdout: string;
}

/** One machine: a namespace with the agent and the speaker. */
export class LabHost {
  readonly name: string;
  readonly netns: string;
  readonly address: string;
  readonly directory: string;
  readonly etcdEndpoint: string;
  /** What a program needs besides to reach etcd. */
  readonly etcdEnv: Readonly<Record<string, string>>;
  agent: ChildProcess | undefined;
  speaker: ChildProcess | undefined;

  constructor(
    facts: Pick<LabHost, 'name' | 'netns' | 'address' | 'directory' | 'etcdEndpoint' | 'etcdEnv'>,
  ) {
    this.name = facts.name;
    this.netns = facts.netns;
    this.address = facts.address;
    this.directory = facts.directory;
    this.etcdEndpoint = facts.etcdEndpoint;
    this.etcdEnv = facts.etcdEnv;
  }

  get socket(): string {
    return join(this.directory, 'run/cni.sock');
  }

  exec(argv: readonly string[]): string {
    return run(['ip', 'netns', 'exec', this.netns, ...argv]);
  }

  routes(): string {
    return this.exec(['ip', 'route']);
  }

  log(program: string): string {
    return readFileSync(join(this.directory, `${program}.log`), 'utf8');
  }

  /** Starts a program of ours in this host's namespaces, with state directories of its own. */
  private program(
    name: 'agent' | 'speaker',
    env: Readonly<Record<string, string>>,
    nodeArguments: readonly string[] = [],
  ): ChildProcess {
    const log = openSync(join(this.directory, `${name}.log`), 'a');
    // Slave propagation: namespaces made later appear inside, mounts made inside stay inside.
    const script = `mkdir -p /var/lib/calico /run/calico && mount --bind ${this.directory}/lib /var/lib/calico
      mount --bind ${this.directory}/run /run/calico && exec "$@"`;
    const inside = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-ec', script, 'sh'];
    const argv = [
      'nsenter',
      `--net=/run/netns/${this.netns}`,
      ...inside,
      NODE,
      ...nodeArguments,
      PROGRAMS ? join(PROGRAMS, `${name}.mjs`) : join(ROOT, `src/${name}/main.ts`),
    ];
    return spawn(argv[0]!, argv.slice(1), {
      stdio: ['ignore', log, log],
      env: {
        PATH: process.env['PATH'],
        NODENAME: this.name,
        ETCD_ENDPOINTS: this.etcdEndpoint,
        ...this.etcdEnv,
        IP_AUTODETECTION_METHOD: 'first-found',
        CALICO_IPV4POOL_CIDR: '192.168.0.0/16',
        CALICO_IPV4POOL_IPIP: 'Never',
        CALICO_CNI_SOCKET: '/run/calico/cni.sock',
        FELIX_HEALTHPORT: '9099',
        LOG_LEVEL: 'info',
        ...env,
      },
    });
  }

  async startAgent(
    env: Readonly<Record<string, string>> = {},
    nodeArguments: readonly string[] = [],
  ): Promise<void> {
    this.agent = this.program('agent', env, nodeArguments);
    await this.healthy(9099, 'agent');
  }

  async startSpeaker(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.speaker = this.program('speaker', env);
    await eventually(
      `${this.name}: speaker is live`,
      () => this.http(9098, '/liveness').ok,
      15_000,
    ).catch((cause: unknown) => {
      throw new Error(`${String(cause)}\n${this.log('speaker')}`);
    });
  }

  private async healthy(port: number, program: string): Promise<void> {
    await eventually(
      `${this.name}: ${program} is ready`,
      () => this.http(port, '/readiness').ok,
      15_000,
    ).catch((cause: unknown) => {
      throw new Error(
        `${String(cause)}\n${this.http(port, '/readiness').output}\n${this.log(program)}`,
      );
    });
  }

  http(port: number, path: string): { readonly ok: boolean; readonly output: string } {
    const argv = ['ip', 'netns', 'exec', this.netns, 'curl', '-sS', '-f', '--max-time', '2'];
    return attempt([...argv, `http://127.0.0.1:${port}${path}`]);
  }

  /** One CNI call over the agent's socket, as the shim makes it. */
  cni(env: Readonly<Record<string, string>>, config: object, type = 'calico'): Promise<CniReply> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socket);
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', reject);
      socket.on('close', () => {
        const text = Buffer.concat(chunks).toString();
        if (text === '') return reject(new Error('the agent closed the socket without an answer'));
        resolve({ exit: Number(text[0]), stdout: text.slice(1) });
      });
      const variables = Object.entries(env).map(([name, value]) => `${name}=${value}\0`);
      socket.end(`${type}\0${variables.join('')}\0${JSON.stringify(config)}`);
    });
  }
}
