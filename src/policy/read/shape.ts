// Shapes of stored specs. A field of the wrong type, and a match that we do not know, must not be
// passed over in silence: a rule without its restriction allows more than was meant.
import type { Json } from '../../base/json.ts';
import { isObject, type SpecCheck } from '../../model/resource.ts';

type Good = (value: Json) => boolean;
type Fields = Readonly<Record<string, Good>>;

const string: Good = (value) => typeof value === 'string';
const number: Good = (value) => typeof value === 'number';
const boolean: Good = (value) => typeof value === 'boolean';
const anything: Good = () => true;
const either =
  (...goods: readonly Good[]): Good =>
  (value) =>
    goods.some((good) => good(value));
const list =
  (good: Good): Good =>
  (value) =>
    Array.isArray(value) && value.every(good);
const object =
  (fields: Fields): Good =>
  (value) =>
    isObject(value) && wrongField(value, fields) === undefined;
const texts: Good = (value) => isObject(value) && Object.values(value).every(string);

const icmp = object({ type: number, code: number });
const entity = object({
  nets: list(string),
  notNets: list(string),
  selector: string,
  notSelector: string,
  namespaceSelector: string,
  ports: list(either(string, number)),
  notPorts: list(either(string, number)),
  serviceAccounts: object({ names: list(string), selector: string }),
  services: object({ name: string, namespace: string }),
});

const RULE: Fields = {
  action: string,
  ipVersion: number,
  protocol: either(string, number),
  notProtocol: either(string, number),
  icmp,
  notICMP: icmp,
  metadata: object({ annotations: texts }),
  source: entity,
  destination: entity,
};

/** The first field that is unknown or of the wrong type; null counts as absent. */
function wrongField(value: { [key: string]: Json }, fields: Fields): string | undefined {
  return Object.keys(value).find((name) => {
    const field = value[name] ?? null;
    return field !== null && !(Object.hasOwn(fields, name) && fields[name]!(field));
  });
}

/** What is wrong with a rule's shape. */
export function checkRule(rule: Json): string | undefined {
  if (!isObject(rule)) return 'not an object';
  const wrong = wrongField(rule, RULE);
  if (wrong === undefined) return undefined;
  const known = Object.hasOwn(RULE, wrong);
  return known ? `${wrong} has an unknown field or value` : `unknown field ${wrong}`;
}

/** Fields that we do not read may be there; those that we read must have their type. */
const checked =
  (fields: Fields): SpecCheck =>
  (spec) => {
    if (!isObject(spec)) return 'spec is not an object';
    const read = Object.entries(spec).filter(([name]) => Object.hasOwn(fields, name));
    const wrong = wrongField(Object.fromEntries(read), fields);
    return wrong === undefined ? undefined : `${wrong} has the wrong type`;
  };

const rules = list(anything);

export const checkPolicySpec = checked({
  tier: string,
  order: number,
  selector: string,
  namespaceSelector: string,
  serviceAccountSelector: string,
  types: list(string),
  ingress: rules,
  egress: rules,
  doNotTrack: boolean,
  preDNAT: boolean,
  applyOnForward: boolean,
});

export const checkProfileSpec = checked({ ingress: rules, egress: rules, labelsToApply: texts });

export const checkTierSpec = checked({ order: number, defaultAction: string });

export const checkEndpointSpec = checked({
  node: string,
  interfaceName: string,
  ipNetworks: list(string),
  profiles: list(string),
  allowSpoofedSourcePrefixes: list(string),
  ports: list(
    object({
      name: string,
      protocol: either(string, number),
      port: number,
      hostPort: number,
      hostIP: string,
    }),
  ),
});

export const checkHostEndpointSpec = checked({
  node: string,
  interfaceName: string,
  expectedIPs: list(string),
  profiles: list(string),
  ports: list(object({ name: string, protocol: either(string, number), port: number })),
});

export const checkNetworkSetSpec = checked({ nets: list(string) });

export const checkServiceEndpointsSpec = checked({
  service: string,
  addresses: list(string),
  ports: list(object({ protocol: string, port: number })),
});

export const checkNodeSpec = checked({
  bgp: (bgp) =>
    isObject(bgp) && checked({ ipv4Address: string, ipv6Address: string })(bgp) === undefined,
});

const protocolPorts = list(object({ protocol: string, port: number, net: string }));

export const checkFelixConfigurationSpec = checked({
  workloadSourceSpoofing: string,
  logPrefix: string,
  logActionRateLimit: string,
  logActionRateLimitBurst: number,
  defaultEndpointToHostAction: string,
  iptablesFilterAllowAction: string,
  iptablesMangleAllowAction: string,
  iptablesFilterDenyAction: string,
  chainInsertMode: string,
  natPortRange: either(string, number),
  natOutgoingAddress: string,
  natOutgoingExclusions: string,
  iptablesNATOutgoingInterfaceFilter: string,
  interfacePrefix: string,
  vxlanPort: number,
  allowVXLANPacketsFromWorkloads: boolean,
  allowIPIPPacketsFromWorkloads: boolean,
  disableConntrackInvalidCheck: boolean,
  externalNodesList: list(string),
  serviceLoopPrevention: string,
  iptablesMarkMask: number,
  maxIpsetSize: number,
  ipForwarding: string,
  failsafeInboundHostPorts: protocolPorts,
  failsafeOutboundHostPorts: protocolPorts,
});
