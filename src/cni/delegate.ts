// Another IPAM plugin: what it is given on stdin and in its environment, and what its answer means
// (CNI SPEC, section "Plugin Delegation").
import { type Json, parseJson, printJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { isObject } from '../model/resource.ts';
import { type CniError, cniError } from './errors.ts';
import type { CniRequest, Command } from './request.ts';
import { type CniResult, parseResult } from './result.ts';
import type { Fields } from './shape.ts';

/** host-local's subnet may be the node's own, by these words. */
const POD_CIDR_WORDS = { 4: 'usePodCidr', 6: 'usePodCidrIPv6' } as const;

/** Whether the configuration asks for the node's pod CIDR. */
export const asksForPodCidr = ({ config }: CniRequest): boolean =>
  /"usePodCidr(IPv6)?"/i.test(printJson(config.raw['ipam'] ?? {}));

/** The configuration for the plugin's stdin. Errors: a pod CIDR is asked for that the node has not. */
export function delegateConfig(
  { config }: CniRequest,
  podCidrs: readonly string[],
): Result<string, CniError> {
  const missing: string[] = [];
  const replaced = replace(config.raw['ipam'] ?? {}, (word, family) => {
    const cidr = podCidrs.find((one) => one.includes(':') === (family === 6));
    if (cidr === undefined) missing.push(word);
    return cidr ?? word;
  });
  if (missing[0] === undefined) return ok(printJson({ ...config.raw, ipam: replaced }));
  const msg = `ipam.subnet ${missing[0]}: this node has no such podCIDR; give the subnet, or let Kubernetes allocate node CIDRs`;
  return fail(cniError('invalidConfig', msg));
}

// `subnet` of the section itself or of its `ranges`.
function replace(value: Json, cidrOf: (word: string, family: 4 | 6) => string): Json {
  if (Array.isArray(value)) return value.map((one) => replace(one, cidrOf));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, field]): [string, Json] => {
    const family = key === 'subnet' ? familyOfWord(field) : undefined;
    return [key, family ? cidrOf(String(field), family) : replace(field, cidrOf)];
  });
  return Object.fromEntries(entries);
}

function familyOfWord(field: Json): 4 | 6 | undefined {
  if (typeof field !== 'string') return undefined;
  const word = field.toLowerCase();
  return ([4, 6] as const).find((family) => POD_CIDR_WORDS[family].toLowerCase() === word);
}

/** The plugin's environment: that of our own call. */
export const delegateEnvironment = (
  request: CniRequest,
  command: Command,
): Readonly<Record<string, string>> => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: request.containerId,
  CNI_NETNS: request.netns,
  CNI_IFNAME: request.ifname,
  CNI_ARGS: request.args,
  CNI_PATH: request.pluginPath,
});

/** What the plugin printed after a failure, as our own answer. */
export function delegateError(type: string, stdout: string, stderr: string): CniError {
  const { code, msg, details } = fieldsOf(stdout);
  const text = typeof msg === 'string' && msg !== '' ? msg : stderr.trim().slice(-400);
  return {
    code: typeof code === 'number' ? code : cniError('internal', '').code,
    msg: `IPAM plugin ${type}: ${text || 'it failed without a word'}`,
    details: typeof details === 'string' && details !== '' ? details : undefined,
  };
}

/** The plugin's result of ADD: at least one address. */
export function delegateResult(type: string, stdout: string): Result<CniResult, CniError> {
  const result = parseResult(fieldsOf(stdout));
  const problem = result.ok
    ? result.value.ips.length > 0
      ? undefined
      : 'its result has no address'
    : result.error;
  if (result.ok && problem === undefined) return ok(result.value);
  return fail(cniError('internal', `IPAM plugin ${type}: ${problem}`));
}

function fieldsOf(text: string): Fields {
  try {
    const value = parseJson(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
