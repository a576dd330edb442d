// A CNI call: environment and stdin become one checked value (CNI SPEC, section "Parameters").
import { fail, ok, type Result } from '../base/result.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { type NetworkConfig, parseConfig } from './config.ts';
import { type CniError, cniError } from './errors.ts';

export type Command = 'ADD' | 'DEL' | 'CHECK';

export interface CniRequest {
  readonly command: Command;
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
  readonly config: NetworkConfig;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that must be set, by command. */
const REQUIRED: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
};

const isCommand = (text: string | undefined): text is Command =>
  text !== undefined && Object.hasOwn(REQUIRED, text);

/** Errors: 4 bad environment (names in the text), 6, 7 and 1 from the configuration. */
export function parseRequest(
  env: Environment,
  stdin: string,
  type = 'calico',
): Result<CniRequest, CniError> {
  const command = env['CNI_COMMAND'];
  if (!isCommand(command)) {
    return invalid(`CNI_COMMAND is '${command ?? ''}'; it must be ADD, DEL, CHECK or VERSION`);
  }
  const missing = REQUIRED[command].filter((name) => !env[name]);
  if (missing.length > 0) return invalid(`${command} needs ${missing.join(', ')}`);
  const containerId = env['CNI_CONTAINERID'] ?? '';
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId)) {
    return invalid('CNI_CONTAINERID must match ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$');
  }
  const ifname = env['CNI_IFNAME'] ?? '';
  if (!isInterfaceName(ifname)) {
    return invalid('CNI_IFNAME must be 1 to 15 characters without "/", ":" or blanks');
  }
  const config = parseConfig(stdin);
  if (!config.ok) return config;
  const args = parseArgs(env['CNI_ARGS'] ?? '');
  const [namespace, name] = [args.get('K8S_POD_NAMESPACE'), args.get('K8S_POD_NAME')];
  const asked = args.get('IP');
  const requestedIp = asked === undefined ? undefined : parseIp(asked);
  if (asked !== undefined && !requestedIp) {
    return invalid(`CNI_ARGS IP='${asked.slice(0, 40)}' is no IP address`);
  }
  return ok({
    command,
    containerId,
    netns: env['CNI_NETNS'] ?? '',
    ifname,
    pod: namespace && name ? { namespace, name, uid: args.get('K8S_POD_UID') } : undefined,
    requestedIp,
    ipamOnly: type === 'calico-ipam',
    config: config.value,
  });
}

const invalid = (msg: string): Result<never, CniError> => fail(cniError('invalidEnvironment', msg));

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

/** The name under which a container's addresses are released. */
export const handleIdOf = (request: CniRequest): string =>
  `${request.config.name}.${request.containerId}`;
