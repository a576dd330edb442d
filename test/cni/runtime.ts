// A container runtime as far as CNI goes: runs a network configuration list as libcni does (CNI SPEC,
// section 3), with real plugins as processes in a host's network namespace, and remembers results.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { shimPath } from '../../images/shim.ts';
import type { CniReply, LabHost } from '../lab/host.ts';

/** Where Debian's containernetworking-plugins lies. */
export const PLUGINS = '/usr/lib/cni';

export interface PluginConfig {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

export interface NetworkList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfig[];
}

/** One attachment as the runtime keeps it. */
export interface Attachment {
  readonly containerId: string;
  /** Path of the network namespace. */
  readonly netns: string;
  readonly ifname?: string;
  readonly args?: string;
  /** Capability arguments, e.g. `portMappings`. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

export type CniJson = Readonly<Record<string, unknown>>;

/** A failure of a plugin, with what it printed. */
export class PluginFailure extends Error {
  readonly code: number;
  readonly reply: CniReply;

  constructor(what: string, reply: CniReply) {
    super(`${what}: ${reply.stdout}`);
    this.reply = reply;
    this.code = (JSON.parse(reply.stdout || '{}') as { code?: number }).code ?? 0;
  }
}

export class Runtime {
  readonly path: string;
  private readonly host: LabHost;
  private readonly socket: string;
  private readonly results = new Map<string, CniJson>();

  private constructor(host: LabHost, folder: string) {
    this.host = host;
    this.path = `${folder}:${PLUGINS}`;
    this.socket = host.socket;
  }

  /** The shim stands under both of its names in a folder of the host's own. */
  static async open(host: LabHost): Promise<Runtime> {
    const folder = join(host.directory, 'bin');
    mkdirSync(folder, { recursive: true });
    const shim = await shimPath();
    for (const name of ['calico', 'calico-ipam']) symlinkSync(shim, join(folder, name));
    return new Runtime(host, folder);
  }

  /** Executes one plugin; the answer is as it came. */
  exec(type: string, env: Readonly<Record<string, string>>, config: object): Promise<CniReply> {
    const folder = type.startsWith('calico') ? this.path.split(':')[0]! : PLUGINS;
    const argv = [`--net=/run/netns/${this.host.netns}`, join(folder, type)];
    const child = spawn('nsenter', argv, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        CNI_PATH: this.path,
        CALICO_CNI_SOCKET: this.socket,
        ...env,
      },
    });
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(config));
    return replyOf(child);
  }

  environment(command: string, { containerId, netns, ifname = 'eth0', args = '' }: Attachment) {
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_ARGS: args,
    };
  }

  /** In order; each gets the result of the one before. Throws PluginFailure, as libcni stops. */
  async add(list: NetworkList, attachment: Attachment): Promise<CniJson> {
    let result: CniJson | undefined;
    for (const plugin of list.plugins) {
      const config = configFor(list, plugin, attachment, result);
      const reply = await this.exec(plugin.type, this.environment('ADD', attachment), config);
      if (reply.exit !== 0) throw new PluginFailure(`ADD ${plugin.type}`, reply);
      result = JSON.parse(reply.stdout) as CniJson;
    }
    if (!result) throw new Error('the list has no plugin');
    this.results.set(keyOf(list, attachment), result);
    return result;
  }

  async check(list: NetworkList, attachment: Attachment): Promise<void> {
    const result = this.results.get(keyOf(list, attachment));
    for (const plugin of list.plugins) await this.run('CHECK', list, plugin, attachment, result);
  }

  /** In reverse; the result is forgotten when all have succeeded. */
  async delete(list: NetworkList, attachment: Attachment): Promise<void> {
    const result = this.results.get(keyOf(list, attachment));
    for (const plugin of [...list.plugins].reverse())
      await this.run('DEL', list, plugin, attachment, result);
    this.results.delete(keyOf(list, attachment));
  }

  private async run(
    command: string,
    list: NetworkList,
    plugin: PluginConfig,
    attachment: Attachment,
    result: CniJson | undefined,
  ): Promise<void> {
    const config = configFor(list, plugin, attachment, result);
    const reply = await this.exec(plugin.type, this.environment(command, attachment), config);
    if (reply.exit !== 0) throw new PluginFailure(`${command} ${plugin.type}`, reply);
  }

  /** What is valid is named; plugins that do not know GC are left out, as older ones do not. */
  async collect(list: NetworkList, valid: readonly Attachment[]): Promise<CniReply> {
    const attachments = valid.map(({ containerId, ifname = 'eth0' }) => ({
      containerID: containerId,
      ifname,
    }));
    const [plugin] = list.plugins;
    const more = { 'cni.dev/valid-attachments': attachments, 'cni.dev/attachments': attachments };
    const config = { ...base(list), ...plugin, ...more };
    return this.exec(plugin!.type, { CNI_COMMAND: 'GC' }, config);
  }

  status(list: NetworkList): Promise<CniReply> {
    const [plugin] = list.plugins;
    return this.exec(plugin!.type, { CNI_COMMAND: 'STATUS' }, { ...base(list), ...plugin });
  }
}

const base = ({ cniVersion, name }: NetworkList) => ({ cniVersion, name });

// CNI SPEC, section "Deriving request configuration from plugin configuration".
function configFor(
  list: NetworkList,
  { capabilities, ...plugin }: PluginConfig,
  attachment: Attachment,
  prevResult: CniJson | undefined,
): object {
  const wanted = Object.entries(attachment.capabilities ?? {}).filter(
    ([name]) => capabilities?.[name],
  );
  return {
    ...base(list),
    ...plugin,
    ...(wanted.length > 0 ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(prevResult ? { prevResult } : {}),
  };
}

const keyOf = ({ name }: NetworkList, { containerId, ifname = 'eth0' }: Attachment): string =>
  `${name}/${containerId}/${ifname}`;

function replyOf(child: ChildProcess): Promise<CniReply> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (exit) => {
      const silent = stdout === '' && exit !== 0 && stderr !== '';
      resolve({
        exit: exit ?? 1,
        stdout: silent ? JSON.stringify({ code: 0, msg: stderr }) : stdout,
      });
    });
  });
}
