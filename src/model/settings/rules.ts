// What a value must be beyond its type, as data: cdk8s checks it in JavaScript, the chart checks
// the very same list in a template. Regular expressions mean the same in RE2 and JavaScript.

import { etcdRules } from './etcd-rules.ts';
import { names, pattern } from './pattern.ts';

/** A value at `path` must match; otherwise the message says what it is not, and an example. */
export interface PatternRule {
  readonly kind: 'pattern';
  readonly path: readonly string[];
  readonly pattern: string;
  /** What a good value is, after "is not". */
  readonly wanted: string;
  readonly example: string;
}

/** An integer must lie within bounds (where the schema's own report would be unreadable). */
export interface RangeRule {
  readonly kind: 'range';
  readonly path: readonly string[];
  readonly minimum: number;
  readonly maximum: number;
  readonly wanted: string;
  readonly example: string;
}

/** When the value at `unless` is false, the text at `path` must not be empty. */
export interface RequiredUnlessRule {
  readonly kind: 'requiredUnless';
  readonly unless: readonly string[];
  readonly path: readonly string[];
  readonly message: string;
}

/** Two texts must be equal when both are given. */
export interface SameRule {
  readonly kind: 'same';
  readonly path: readonly string[];
  readonly other: readonly string[];
  readonly message: string;
}

/** A value of every object of the list at `path` must match where it is given. */
export interface EachRule {
  readonly kind: 'each';
  readonly path: readonly string[];
  readonly field: readonly string[];
  readonly pattern: string;
  readonly wanted: string;
  readonly example: string;
}

/** No two objects of the list at `path` have the same text in the field. */
export interface UniqueRule {
  readonly kind: 'unique';
  readonly path: readonly string[];
  readonly field: readonly string[];
}

/** IPv4 prefixes, and addresses, of which none may overlap another. */
export interface DisjointRule {
  readonly kind: 'disjoint';
  readonly path: readonly string[];
  /** An object list with a field that takes part as well. */
  readonly list: readonly string[];
  readonly field: string;
  /** An address that takes part while the switch is on. */
  readonly address: readonly string[];
  readonly addressIf: readonly string[];
}

/** Where the text at `given` is not empty, or the switch there is on, the one at `path` must match. */
export interface PatternIfRule {
  readonly kind: 'patternIf';
  readonly path: readonly string[];
  readonly given: readonly string[];
  /** A text that counts as empty. */
  readonly off?: string;
  readonly pattern: string;
  readonly message: string;
}

export type Rule =
  | PatternIfRule
  | PatternRule
  | RangeRule
  | RequiredUnlessRule
  | SameRule
  | EachRule
  | UniqueRule
  | DisjointRule;

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const IPV4 = `(${OCTET}\\.){3}${OCTET}`;
/** An IPv4 prefix that a pool may be. */
export const IPV4_POOL = `^${IPV4}/([89]|[12][0-9]|3[0-2])$`;
export const IPV4_ADDRESS = `^${IPV4}$`;
// Loose: what is left is told by the controllers.
const IPV6 = '[0-9a-fA-F:.]*:[0-9a-fA-F:.]*';
const PREFIX = `(${IPV4}/([0-9]|[12][0-9]|3[0-2])|${IPV6}/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))`;
const HOST_AND_PORT = '[^ \\t\\r\\n,/]+:[0-9]+/?';
const urlsOf = (scheme: string): string =>
  `${scheme}://${HOST_AND_PORT}(,${scheme}://${HOST_AND_PORT})*`;

// Spelt out letter by letter: case folding beyond ASCII differs between RE2 and JavaScript.
const anyCase = (word: string) =>
  [...word].map((letter) => `[${letter}${letter.toUpperCase()}]`).join('');
const SWITCH = `^(${['on', 'off', 'yes', 'no', 'true', 'false'].map(anyCase).join('|')})$`;

// The names of 2018 too: profile is today's namespace.
const CONTROLLER_NAMES = [
  ...['policy', 'namespace', 'serviceaccount', 'workloadendpoint', 'node'],
  ...['profile', 'settings', 'routereflector'],
].join('|');

const toggle = (path: string) =>
  pattern(path, SWITCH, 'a switch (on, off, yes, no, true or false)', 'on');

const BFD_PART =
  '((transmit|receive)=[1-9][0-9]{1,4}ms|multiplier=[1-9][0-9]{0,2}|multihop=(true|false))';

const image = (path: string, example: string) =>
  pattern(path, '^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$', 'an image reference', example);

const prefixes = (path: string) =>
  pattern(
    path,
    `^(|${PREFIX}(,${PREFIX})*)$`,
    'a comma-separated list of prefixes',
    '10.0.0.0/8,fd00::/8',
  );

const method = (name: string) =>
  pattern(
    `conf.node.${name}`,
    '^(first-found|(can-reach|interface)=[^\\r\\n]+)$',
    'a method (first-found, can-reach=DESTINATION or interface=REGEX)',
    'first-found',
  );

export const rules: readonly Rule[] = [
  pattern('networking.podSubnet', IPV4_POOL, 'an IPv4 CIDR (prefix 8 to 32)', '192.168.0.0/16'),
  toggle('networking.settings.mesh'),
  toggle('networking.settings.ippool.nat_outgoing'),
  toggle('networking.settings.ippool.disabled'),
  pattern(
    'networking.settings.ippool.disable_bgp_export',
    `^$|${SWITCH}`,
    'a switch (on, off, yes, no, true or false), or empty',
    'on',
  ),
  pattern(
    'conf.controllers.ENABLED_CONTROLLERS',
    `^(${CONTROLLER_NAMES})(,(${CONTROLLER_NAMES}))*$`,
    'a comma-separated list of controllers (policy, namespace, serviceaccount, workloadendpoint, node)',
    'policy,namespace,node',
  ),
  pattern(
    'conf.controllers.LEAK_GRACE_PERIOD',
    '^(|0|([0-9]+(h|m|s|ms))+)$',
    'a time, or 0',
    '15m',
  ),
  {
    kind: 'patternIf',
    path: ['networking', 'settings', 'ippool', 'ipip', 'mode'],
    given: ['networking', 'settings', 'ippool', 'vxlan', 'mode'],
    off: 'Never',
    pattern: '^Never$',
    message:
      'asks for IP-in-IP, and networking.settings.ippool.vxlan.mode for VXLAN: packets travel in one of them; set one to Never',
  },
  {
    kind: 'range',
    path: ['networking', 'bgp', 'asnumber'],
    minimum: 1,
    maximum: 4294967295,
    wanted: 'an AS number (1 to 4294967295)',
    example: '64512',
  },
  pattern(
    'networking.bgp.bfd',
    `^(|on|off|${BFD_PART}(,${BFD_PART})*)$`,
    'a BFD setting (on, off or a list of transmit, receive, multiplier and multihop)',
    'transmit=150ms,receive=150ms,multiplier=3',
  ),
  method('IP_AUTODETECTION_METHOD'),
  method('IP6_AUTODETECTION_METHOD'),
  method('IPV6_AUTODETECTION_METHOD'),
  {
    kind: 'same',
    path: ['conf', 'node', 'IPV6_AUTODETECTION_METHOD'],
    other: ['conf', 'node', 'IP6_AUTODETECTION_METHOD'],
    message: 'is an older spelling of IP6_AUTODETECTION_METHOD and differs from it; keep one',
  },
  pattern(
    'pod.calico_node.max_unavailable',
    '^([1-9][0-9]{0,4}|[1-9][0-9]?%|100%)$',
    'a number of nodes, or a percentage',
    '10%',
  ),
  image('images.node', 'docker.io/calico-kit/calico-node:0.1.0'),
  image('images.kube_controllers', 'docker.io/calico-kit/kube-controllers:0.1.0'),
  image('images.etcd', 'docker.io/calico-kit/etcd:0.1.0'),
  pattern(
    'images.registry',
    '^([a-zA-Z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?)?$',
    'a registry, with a path where it has one',
    'registry.example.com:5000/mirror',
  ),
  pattern('conf.node.FELIX_PROMETHEUSMETRICSPORT', '^[1-9][0-9]{0,4}$', 'a TCP port', '9091'),
  pattern(
    'conf.node.BGP_DRAIN_SECONDS',
    '^(|0|[1-9][0-9]?|[1-5][0-9]{2}|600)$',
    'a number of seconds from 0 to 600',
    '10',
  ),
  pattern(
    'monitoring.monitor.interval',
    '^([1-9][0-9]*h)?([1-9][0-9]*m)?([1-9][0-9]*s)?$',
    'a time as Prometheus writes it',
    '30s',
  ),
  pattern(
    'etcd.endpoints',
    `^(|${urlsOf('http')}|${urlsOf('https')})$`,
    'a comma-separated list of http or https URLs with a port',
    'http://10.0.2.6:2379',
  ),
  {
    kind: 'patternIf',
    path: ['etcd', 'endpoints'],
    given: ['etcd', 'tls', 'secret'],
    pattern: '^(|https://.*)$',
    message: 'has no TLS, but etcd.tls.secret is given; write https, or leave the Secret out',
  },
  ...etcdRules,
  pattern('etcd.clusterIP', IPV4_ADDRESS, 'an IPv4 address', '10.96.232.136'),
  {
    kind: 'requiredUnless',
    unless: ['etcd', 'enabled'],
    path: ['etcd', 'endpoints'],
    message: 'is needed when etcd.enabled is false, for example http://10.0.2.6:2379',
  },
  {
    kind: 'patternIf',
    path: ['serviceProxy', 'apiServer', 'host'],
    given: ['serviceProxy', 'enabled'],
    pattern: '^[a-zA-Z0-9.:-]+$',
    message:
      'is no address or name: before services are served, the API server must be reached without one, for example 10.0.0.10',
  },
  prefixes('serviceProxy.clusterCIDR'),
  prefixes('serviceProxy.nodePortAddresses'),
  prefixes('serviceProxy.externalCIDRs'),
  prefixes('serviceProxy.loadBalancerCIDRs'),
  pattern('serviceProxy.healthAddress', `^(|${IPV4}|${IPV6})$`, 'an address', '127.0.0.1'),
  {
    kind: 'each',
    path: ['networking', 'pools'],
    field: ['cidr'],
    pattern: `^(${IPV4}/([89]|[12][0-9]|3[0-2])|${IPV6}/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))$`,
    wanted: 'a CIDR (IPv4 with prefix 8 to 32, or IPv6)',
    example: '10.20.0.0/16',
  },
  names('networking.pools', 'name', 'edge'),
  { kind: 'unique', path: ['networking', 'pools'], field: ['name'] },
  ...['ipv4', 'ipv6'].flatMap((family): readonly Rule[] => [
    {
      kind: 'each',
      path: ['networking', 'bgp', family, 'peers'],
      field: ['spec', 'peerIP'],
      pattern: `^(|${IPV4}(:[0-9]{1,5})?|${IPV6}|\\[${IPV6}\\]:[0-9]{1,5})$`,
      wanted: 'an address, with a port where it is not 179',
      example: '10.0.0.1',
    },
    names(`networking.bgp.${family}.peers`, 'metadata.name', 'rack-1'),
    { kind: 'unique', path: ['networking', 'bgp', family, 'peers'], field: ['metadata', 'name'] },
  ]),
  {
    kind: 'disjoint',
    path: ['networking', 'podSubnet'],
    list: ['networking', 'pools'],
    field: 'cidr',
    address: ['etcd', 'clusterIP'],
    addressIf: ['etcd', 'enabled'],
  },
];
