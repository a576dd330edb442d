// FELIX_* variables about how rules are made, in FelixConfiguration's words.
import { fail, ok, type Result } from '../../base/result.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import { ruleSettingsOf } from './rule-settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Field = keyof FelixConfigurationSpec;

/** By variable: the field, how its text is read, and what it must look like. */
const VARIABLES: Readonly<Record<string, readonly [Field, (text: string) => unknown, string]>> = {
  DEFAULTENDPOINTTOHOSTACTION: ['defaultEndpointToHostAction', same, 'one of DROP, RETURN, ACCEPT'],
  IPTABLESFILTERALLOWACTION: ['iptablesFilterAllowAction', same, 'ACCEPT or RETURN'],
  IPTABLESMANGLEALLOWACTION: ['iptablesMangleAllowAction', same, 'ACCEPT or RETURN'],
  IPTABLESFILTERDENYACTION: ['iptablesFilterDenyAction', same, 'DROP or REJECT'],
  CHAININSERTMODE: ['chainInsertMode', same, 'insert or append'],
  NATPORTRANGE: ['natPortRange', same, 'like 32768:65535'],
  NATOUTGOINGADDRESS: ['natOutgoingAddress', same, 'an address'],
  NATOUTGOINGEXCLUSIONS: ['natOutgoingExclusions', same, 'IPPoolsOnly or IPPoolsAndHostIPs'],
  IPTABLESNATOUTGOINGINTERFACEFILTER: [
    'iptablesNATOutgoingInterfaceFilter',
    same,
    "an interface's name, or its beginning and +",
  ],
  INTERFACEPREFIX: ['interfacePrefix', same, 'like cali or cali,tap'],
  ALLOWVXLANPACKETSFROMWORKLOADS: ['allowVXLANPacketsFromWorkloads', truth, 'true or false'],
  ALLOWIPIPPACKETSFROMWORKLOADS: ['allowIPIPPacketsFromWorkloads', truth, 'true or false'],
  DISABLECONNTRACKINVALIDCHECK: ['disableConntrackInvalidCheck', truth, 'true or false'],
  EXTERNALNODESCIDRLIST: ['externalNodesList', items, 'like 10.0.0.5,10.1.0.0/16'],
  IPTABLESMARKMASK: ['iptablesMarkMask', Number, 'a number with five bits or more, as 0xffff0000'],
  MAXIPSETSIZE: ['maxIpsetSize', Number, 'a number'],
  SERVICELOOPPREVENTION: ['serviceLoopPrevention', same, 'Drop, Reject or Disabled'],
};

function same(text: string): string {
  return text;
}

function truth(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return word === 'true' ? true : word === 'false' ? false : undefined;
}

function items(text: string): readonly string[] {
  return text.split(',').map((one) => one.trim());
}

/** Errors: the first variable that cannot be used, and how it must look. */
export function ruleEnvironment(env: Environment): Result<FelixConfigurationSpec> {
  const spec: Record<string, unknown> = {};
  for (const [variable, [field, read, look]] of Object.entries(VARIABLES)) {
    const name = `FELIX_${variable}`;
    const text = env[name]?.trim();
    if (!text) continue;
    const one = { [field]: read(text) } as FelixConfigurationSpec;
    const { length } = Object.keys(ruleSettingsOf(one));
    const isList = field === 'externalNodesList';
    const all = isList ? items(text).length : 1;
    const good = isList ? (ruleSettingsOf(one).externalNodes?.length ?? 0) : length;
    if (good < all) return fail(`${name}: '${text}' must be ${look}`);
    Object.assign(spec, one);
  }
  return ok(spec);
}
