// What FelixConfiguration, or the environment in its words, says of how rules are made. What is not told, or
// cannot be used, is Felix's default.
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { DEFAULT_MARK_MASK, isMarkMask } from '../mark-bits.ts';

export interface RuleSettings {
  /** What a workload's packet to its own host meets after its egress policy. */
  readonly endpointToHostAction: 'DROP' | 'RETURN' | 'ACCEPT';
  /** What allowed packets meet in the filter table; RETURN: others' rules have the last word. */
  readonly filterAllow: 'ACCEPT' | 'RETURN';
  readonly mangleAllow: 'ACCEPT' | 'RETURN';
  /** What denied packets meet in the filter table. */
  readonly deny: 'DROP' | 'REJECT';
  /** Where our jumps stand in the kernel's chains: before others' rules or after them. */
  readonly insertMode: 'insert' | 'append';
  /** `first-last`: source ports of masqueraded packets; undefined: the kernel's choice. */
  readonly natPorts: string | undefined;
  /** Source address of packets that leave the pools; undefined: the interface's. */
  readonly natAddress: Ip | undefined;
  /** Packets to nodes are not masqueraded. */
  readonly natExcludesHosts: boolean;
  /** Only packets that leave by it are masqueraded; may end in `+`. */
  readonly natInterface: string | undefined;
  /** What names of workloads' interfaces begin with. */
  readonly interfacePrefixes: readonly string[];
  readonly vxlanPort: number;
  /** Whether workloads may send tunnels of their own. */
  readonly allowsVxlan: boolean;
  readonly allowsIpip: boolean;
  /** Whether packets that belong to no connection are dropped. */
  readonly checksInvalid: boolean;
  /** Tunnels' ends that are no nodes. */
  readonly externalNodes: readonly Cidr[];
  /** What packets to a service address that nobody serves meet; undefined: they are forwarded. */
  readonly loopPrevention: 'DROP' | 'REJECT' | undefined;
  /** Bits of the packet mark that are ours. */
  readonly markMask: number;
  /** Members that a set may have. */
  readonly setElementsMax: number;
}

export const RULE_DEFAULTS: RuleSettings = {
  endpointToHostAction: 'DROP',
  filterAllow: 'ACCEPT',
  mangleAllow: 'ACCEPT',
  deny: 'DROP',
  insertMode: 'insert',
  natPorts: undefined,
  natAddress: undefined,
  natExcludesHosts: false,
  natInterface: undefined,
  interfacePrefixes: ['cali'],
  vxlanPort: 4789,
  allowsVxlan: false,
  allowsIpip: false,
  checksInvalid: true,
  externalNodes: [],
  loopPrevention: 'DROP',
  markMask: DEFAULT_MARK_MASK,
  setElementsMax: 1048576,
};

/** The kernel keeps it in 32 bits. */
const SET_ELEMENTS_LIMIT = 2 ** 32 - 1;
const INTERFACE = /^[A-Za-z0-9_.-]{1,15}$/;
const FILTER = /^[A-Za-z0-9_.-]{1,14}[A-Za-z0-9_.+-]?$/;

/** Only what is told, and can be used. */
export function ruleSettingsOf(spec: FelixConfigurationSpec): Partial<RuleSettings> {
  const filter = spec.iptablesNATOutgoingInterfaceFilter ?? undefined;
  const all: { readonly [K in keyof RuleSettings]: RuleSettings[K] | undefined } = {
    endpointToHostAction: oneOf(spec.defaultEndpointToHostAction, 'DROP', 'RETURN', 'ACCEPT'),
    filterAllow: oneOf(spec.iptablesFilterAllowAction, 'ACCEPT', 'RETURN'),
    mangleAllow: oneOf(spec.iptablesMangleAllowAction, 'ACCEPT', 'RETURN'),
    deny: oneOf(spec.iptablesFilterDenyAction, 'DROP', 'REJECT'),
    insertMode: oneOf(spec.chainInsertMode, 'insert', 'append'),
    natPorts: portRange(spec.natPortRange),
    natAddress: parseIp(spec.natOutgoingAddress ?? ''),
    natExcludesHosts: EXCLUDES_HOSTS.get(spec.natOutgoingExclusions?.toLowerCase() ?? ''),
    natInterface: filter !== undefined && FILTER.test(filter) ? filter : undefined,
    interfacePrefixes: prefixes(spec.interfacePrefix),
    vxlanPort: port(spec.vxlanPort),
    allowsVxlan: spec.allowVXLANPacketsFromWorkloads ?? undefined,
    allowsIpip: spec.allowIPIPPacketsFromWorkloads ?? undefined,
    checksInvalid:
      typeof spec.disableConntrackInvalidCheck === 'boolean'
        ? !spec.disableConntrackInvalidCheck
        : undefined,
    externalNodes: spec.externalNodesList?.flatMap((text) => parseCidr(text) ?? []),
    loopPrevention: oneOf(spec.serviceLoopPrevention, 'DROP', 'REJECT'),
    markMask: isMarkMask(spec.iptablesMarkMask ?? 0) ? spec.iptablesMarkMask! : undefined,
    setElementsMax: setSize(spec.maxIpsetSize),
  };
  const told = Object.entries(all).filter(([, value]) => value !== undefined);
  const settings: Partial<RuleSettings> = Object.fromEntries(told);
  const isOff = oneOf(spec.serviceLoopPrevention, 'Disabled') !== undefined;
  return isOff ? { ...settings, loopPrevention: undefined } : settings;
}

const EXCLUDES_HOSTS: ReadonlyMap<string, boolean> = new Map([
  ['ippoolsandhostips', true],
  ['ippoolsonly', false],
]);

function oneOf<T extends string>(
  text: string | null | undefined,
  ...words: readonly T[]
): T | undefined {
  return words.find((word) => word.toLowerCase() === text?.toLowerCase());
}

// `1000:2000`, or one port.
function portRange(value: string | number | null | undefined): string | undefined {
  const [, first = '', last = first] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(String(value ?? '')) ?? [];
  const [low, high] = [Number(first), Number(last)];
  return first !== '' && low >= 1 && low <= high && high <= 65535 ? `${low}-${high}` : undefined;
}

const setSize = (value: number | null | undefined): number | undefined =>
  Number.isInteger(value) && value! >= 1 && value! <= SET_ELEMENTS_LIMIT ? value! : undefined;

const port = (value: number | null | undefined): number | undefined =>
  Number.isInteger(value) && value! >= 1 && value! <= 65535 ? value! : undefined;

function prefixes(text: string | null | undefined): readonly string[] | undefined {
  const all = (text ?? '').split(',').map((one) => one.trim());
  const good = all.filter((one) => INTERFACE.test(one));
  return good.length > 0 ? good : undefined;
}
