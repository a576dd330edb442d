// Calls another IPAM plugin (CNI SPEC, section "Plugin Delegation"): its executable is looked for in
// CNI_PATH and run in the host's network namespace with our own environment and configuration.
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import {
  asksForPodCidr,
  delegateConfig,
  delegateEnvironment,
  delegateError,
} from '../../cni/delegate.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import type { CniRequest, Command } from '../../cni/request.ts';
import type { CniContext } from './context.ts';

/** A runtime waits longer for us; the plugin is ended after this time. */
const PATIENCE_MILLISECONDS = 60_000;
/** Where runtimes look when CNI_PATH, optional for DEL, is not given. */
const DEFAULT_PATH = '/opt/cni/bin';
const OUTPUT_BYTES_MAX = 1 << 20;

/** Answers the plugin's stdout. The plugin is ended when the signal fires. */
export async function callDelegate(
  context: CniContext,
  request: CniRequest,
  command: Command,
  signal?: AbortSignal,
): Promise<Result<string, CniError>> {
  const type = request.config.ipamType;
  const path = findPlugin(type, request.pluginPath || DEFAULT_PATH);
  if (!path) {
    const msg = `IPAM plugin ${type} is not in CNI_PATH ${request.pluginPath || DEFAULT_PATH}; install it`;
    return fail(cniError('invalidConfig', msg));
  }
  const podCidrs = await podCidrsFor(context, request);
  if (!podCidrs.ok) return podCidrs;
  const config = delegateConfig(request, podCidrs.value);
  if (!config.ok) return config;
  const env = delegateEnvironment(request, command);
  // CNI SPEC, section "Delegated Plugin protocol": its stderr becomes ours, and that is the log.
  const hear = (stderr: string): void => {
    if (stderr) context.log.info({ plugin: type, command, stderr }, 'IPAM plugin');
  };
  return run(path, type, env, { stdin: config.value, signal, hear });
}

/** Whether the addresses come from another IPAM plugin. */
export const isDelegated = ({ config, ipamOnly }: CniRequest): boolean =>
  !ipamOnly && config.ipamType !== 'calico-ipam';

async function podCidrsFor(
  { pods }: CniContext,
  request: CniRequest,
): Promise<Result<readonly string[], CniError>> {
  if (!asksForPodCidr(request)) return ok([]);
  try {
    return ok((await pods?.podCidrs()) ?? []);
  } catch (cause) {
    const msg = `the Kubernetes API cannot be asked for the podCIDR: ${messageOf(cause)}`;
    return fail(cniError('tryAgain', msg));
  }
}

function findPlugin(type: string, path: string): string | undefined {
  const candidates = path.split(':').filter(Boolean);
  return candidates.map((folder) => join(folder, type)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

interface Exchange {
  readonly stdin: string;
  readonly signal: AbortSignal | undefined;
  readonly hear: (stderr: string) => void;
}

function run(
  path: string,
  type: string,
  env: Readonly<Record<string, string>>,
  { stdin, signal, hear }: Exchange,
): Promise<Result<string, CniError>> {
  return new Promise((resolve) => {
    const options = {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      timeout: PATIENCE_MILLISECONDS,
      killSignal: 'SIGKILL' as const,
      ...(signal ? { signal } : {}),
      maxBuffer: OUTPUT_BYTES_MAX,
      encoding: 'utf8' as const,
    };
    const child = execFile(path, [], options, (error, stdout, stderr) => {
      hear(stderr.trim());
      if (!error) return resolve(ok(stdout));
      resolve(fail(delegateError(type, stdout, stderr || error.message)));
    });
    child.stdin?.on('error', () => {}); // it may end before it has read everything
    child.stdin?.end(stdin);
  });
}
