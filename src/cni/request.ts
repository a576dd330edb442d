// A CNI call: environment and stdin become one checked value (CNI SPEC, section "Parameters").
import { base64url } from '../base/hash.ts';
import type { Json } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { isObject } from '../model/resource.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { type NetworkConfig, parseConfig } from './config.ts';
import { type CniError, cniError } from './errors.ts';
import { compareVersions } from './versions.ts';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';

/** A container's interface on a network. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
}

export interface CniRequest {
  readonly command: Command;
  /** Empty for GC and STATUS, as are netns and ifname. */
  readonly containerId: string;
  /** Path of the container's network namespace; DEL may come without. */
  readonly netns: string;
  readonly ifname: string;
  /** Set when the runtime calls for a Kubernetes pod. */
  readonly pod:
    | { readonly namespace: string; readonly name: string; readonly uid?: string | undefined }
    | undefined;
  /** CNI_ARGS `IP`: this address and no other. */
  readonly requestedIp: Ip | undefined;
  /** Called as `calico-ipam`, by another main plugin: addresses only. */
  readonly ipamOnly: boolean;
  /** GC: what is in use; everything else of this node and network goes. */
  readonly attachments: readonly Attachment[];
  /** CNI_ARGS and CNI_PATH as they came, for the IPAM plugin that we call. */
  readonly args: string;
  readonly pluginPath: string;
  readonly config: NetworkConfig;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** By command: variables that must be set, and the version that introduced it. */
const COMMANDS: Readonly<
  Record<Command, { readonly required: readonly string[]; readonly since: string }>
> = {
  ADD: { required: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], since: '0.1.0' },
  CHECK: { required: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], since: '0.4.0' },
  DEL: { required: ['CNI_CONTAINERID', 'CNI_IFNAME'], since: '0.1.0' },
  GC: { required: ['CNI_PATH'], since: '1.1.0' },
  STATUS: { required: [], since: '1.1.0' },
};

const isCommand = (text: string | undefined): text is Command =>
  text !== undefined && Object.hasOwn(COMMANDS, text);

/** Errors: 4 bad environment (names in the text), 6, 7 and 1 from the configuration. */
export function parseRequest(
  env: Environment,
  stdin: string,
  type = 'calico',
): Result<CniRequest, CniError> {
  const command = env['CNI_COMMAND'];
  if (!isCommand(command)) {
    const known = [...Object.keys(COMMANDS), 'VERSION'].join(', ');
    return invalid(`CNI_COMMAND is '${command ?? ''}'; it must be one of ${known}`);
  }
  const problem = environmentProblem(command, env);
  if (problem) return invalid(problem);
  const config = parseConfig(stdin);
  if (!config.ok) return config;
  const refused = refusedBy(command, config.value);
  if (refused) return fail(refused);
  const attachments = parseAttachments(config.value.validAttachments ?? []);
  if (!attachments.ok) return attachments;
  const args = parseArgs(env['CNI_ARGS'] ?? '');
  const asked = args.get('IP');
  const requestedIp = asked === undefined ? undefined : parseIp(asked);
  if (asked !== undefined && !requestedIp) {
    return invalid(`CNI_ARGS IP='${asked.slice(0, 40)}' is no IP address`);
  }
  return ok({
    command,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netns: env['CNI_NETNS'] ?? '',
    ifname: env['CNI_IFNAME'] ?? '',
    pod: podOf(args),
    requestedIp,
    ipamOnly: type === 'calico-ipam',
    attachments: attachments.value,
    args: env['CNI_ARGS'] ?? '',
    pluginPath: env['CNI_PATH'] ?? '',
    config: config.value,
  });
}

const invalid = (msg: string): Result<never, CniError> => fail(cniError('invalidEnvironment', msg));

function environmentProblem(command: Command, env: Environment): string | undefined {
  const { required } = COMMANDS[command];
  const missing = required.filter((name) => !env[name]);
  if (missing.length > 0) return `${command} needs ${missing.join(', ')}`;
  if (!required.includes('CNI_CONTAINERID')) return undefined;
  if (!isContainerId(env['CNI_CONTAINERID'] ?? ''))
    return 'CNI_CONTAINERID must match ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$';
  if (!isInterfaceName(env['CNI_IFNAME'] ?? ''))
    return 'CNI_IFNAME must be 1 to 15 characters without "/", ":" or blanks';
  return undefined;
}

function refusedBy(command: Command, config: NetworkConfig): CniError | undefined {
  const { since } = COMMANDS[command];
  if (compareVersions(config.cniVersion, since) < 0) {
    const msg = `${command} needs cniVersion ${since} or newer, not ${config.cniVersion}`;
    return cniError('incompatibleVersion', msg);
  }
  if (command === 'CHECK' && !config.previous)
    return cniError('invalidConfig', 'network configuration: CHECK needs prevResult');
  // Without the list everything would look stale.
  if (command === 'GC' && !config.validAttachments)
    return cniError('invalidConfig', 'network configuration: GC needs cni.dev/valid-attachments');
  return undefined;
}

function parseAttachments(list: readonly Json[]): Result<readonly Attachment[], CniError> {
  const attachments: Attachment[] = [];
  for (const [i, entry] of list.entries()) {
    const { containerID: containerId, ifname } = isObject(entry) ? entry : {};
    if (typeof containerId !== 'string' || typeof ifname !== 'string') {
      const msg = `network configuration: cni.dev/valid-attachments[${i}] needs containerID and ifname`;
      return fail(cniError('invalidConfig', msg));
    }
    attachments.push({ containerId, ifname });
  }
  return ok(attachments);
}

function podOf(args: ReadonlyMap<string, string>): CniRequest['pod'] {
  const [namespace, name] = [args.get('K8S_POD_NAMESPACE'), args.get('K8S_POD_NAME')];
  return namespace && name ? { namespace, name, uid: args.get('K8S_POD_UID') } : undefined;
}

const isContainerId = (text: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);

const isInterfaceName = (name: string): boolean =>
  name.length >= 1 && name.length <= 15 && name !== '.' && name !== '..' && !/[/:\s]/.test(name);

/** `K8S_POD_NAME=x;K8S_POD_NAMESPACE=y`. Entries without `=` are ignored. */
export function parseArgs(text: string): ReadonlyMap<string, string> {
  const pairs = text.split(';').flatMap((entry): [string, string][] => {
    const at = entry.indexOf('=');
    return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)]] : [];
  });
  return new Map(pairs);
}

/** The interface that bears Calico's own names; others bear their own name in theirs as well. */
export const FIRST_INTERFACE = 'eth0';

/**
 * What the handle of an attachment ends in. CNI SPEC: state is kept by network name, container and
 * interface; the first interface's handle is as Calico's plugin writes it. No container's name holds
 * a colon.
 */
export const handleSuffix = ({ containerId, ifname }: Attachment): string =>
  ifname === FIRST_INTERFACE ? `.${containerId}` : `.${containerId}:${ifname}`;

/**
 * The name of an address that is its pod's for good, whatever container the pod is. Neither namespace
 * nor pod can hold a colon: a-b/c-0 and a/b-c-0 have names of their own.
 */
export const stableHandleOf = ({ config, pod, ifname }: CniRequest): string | undefined =>
  pod &&
  `${config.name}.${pod.namespace}:${pod.name}${ifname === FIRST_INTERFACE ? '' : `:${ifname}`}`;

const HANDLE_LENGTH_MAX = 128;

/**
 * The name of an address that is a KubeVirt VM's, as Calico's plugin writes it: no namespace holds a
 * dot, so that no two VMs share one; what is too long ends in a digest.
 */
export function machineHandleOf(
  { config, pod, ifname }: CniRequest,
  machine: string,
): string | undefined {
  if (!pod) return undefined;
  const prefix = `${config.name}.vmi.`;
  const id = `${pod.namespace}.${machine}`;
  const isLong = prefix.length + id.length > HANDLE_LENGTH_MAX;
  const name = isLong ? `${prefix}_${base64url('sha256', id)}` : prefix + id;
  return `${name.slice(0, HANDLE_LENGTH_MAX)}${ifname === FIRST_INTERFACE ? '' : `:${ifname}`}`;
}

/** The name under which an attachment's addresses are released. */
export const handleIdOf = (request: Attachment & { readonly config: NetworkConfig }): string =>
  `${request.config.name}${handleSuffix(request)}`;
