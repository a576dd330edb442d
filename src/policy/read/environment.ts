// FELIX_* variables that say what FelixConfiguration may say too; they have the last word, as in Felix.
import { fail, ok, type Result } from '../../base/result.ts';
import type { FelixConfigurationSpec, ProtocolPort } from '../../model/felix-configuration.ts';
import { parseCidr } from '../../net/cidr.ts';
import { isRate } from '../render/log-action.ts';
import { type FelixSettings, felixSettingsOf } from './resources.ts';
import { ruleEnvironment } from './rule-environment.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const FORWARDING = ['Enabled', 'Disabled'] as const;
const SPOOFING = ['Any', 'Disabled'] as const;

/** Errors: the first variable that cannot be used, and how it must look. */
export function felixEnvironment(env: Environment): Result<FelixSettings> {
  const inbound = ports(env, 'FELIX_FAILSAFEINBOUNDHOSTPORTS');
  const outbound = ports(env, 'FELIX_FAILSAFEOUTBOUNDHOSTPORTS');
  if (!inbound.ok) return inbound;
  if (!outbound.ok) return outbound;
  const asked = env['FELIX_WORKLOADSOURCESPOOFING'] || undefined;
  const spoofing = SPOOFING.find((word) => word.toLowerCase() === asked?.toLowerCase());
  if (asked !== undefined && !spoofing)
    return fail(`FELIX_WORKLOADSOURCESPOOFING: '${asked}' must be Any or Disabled`);
  const told = env['FELIX_IPFORWARDING'] || undefined;
  const forwarding = FORWARDING.find((word) => word.toLowerCase() === told?.toLowerCase());
  if (told !== undefined && !forwarding)
    return fail(`FELIX_IPFORWARDING: '${told}' must be Enabled or Disabled`);
  const rate = env['FELIX_LOGACTIONRATELIMIT'] || undefined;
  if (rate !== undefined && !isRate(rate))
    return fail(`FELIX_LOGACTIONRATELIMIT: '${rate}' must look like 100/minute`);
  const burst = env['FELIX_LOGACTIONRATELIMITBURST'] || undefined;
  if (burst !== undefined && !/^[1-9]\d{0,3}$|^10000$/.test(burst))
    return fail(`FELIX_LOGACTIONRATELIMITBURST: '${burst}' must be 1 to 10000`);
  const port = env['FELIX_VXLANPORT'] || undefined;
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535))
    return fail(`FELIX_VXLANPORT: '${port}' must be 1 to 65535`);
  const prefix = env['FELIX_LOGPREFIX'] || undefined;
  const spec: FelixConfigurationSpec = {
    ...(inbound.value ? { failsafeInboundHostPorts: inbound.value } : {}),
    ...(outbound.value ? { failsafeOutboundHostPorts: outbound.value } : {}),
    ...(forwarding ? { ipForwarding: forwarding } : {}),
    ...(spoofing ? { workloadSourceSpoofing: spoofing } : {}),
    ...(prefix ? { logPrefix: prefix } : {}),
    ...(rate ? { logActionRateLimit: rate } : {}),
    ...(burst ? { logActionRateLimitBurst: Number(burst) } : {}),
    ...(port ? { vxlanPort: Number(port) } : {}),
  };
  const rules = ruleEnvironment(env);
  return rules.ok ? ok(felixSettingsOf({ ...spec, ...rules.value })) : rules;
}

// `tcp:22, udp:10.0.0.0/8:53, tcp:[fd00::]/8:22`, a number alone is TCP's; `none`: none.
function ports(env: Environment, name: string): Result<readonly ProtocolPort[] | undefined> {
  const text = env[name]?.trim();
  if (!text) return ok(undefined);
  if (text.toLowerCase() === 'none') return ok([]);
  const found: ProtocolPort[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    const [, protocol = 'tcp', net, number] =
      /^(?:(tcp|udp|sctp):(?:(.+):)?)?(\d{1,5})$/i.exec(part) ?? [];
    const cidr = net && parseCidr(net.replace(/[[\]]/g, ''));
    if (number === undefined || Number(number) > 65535 || (net && !cidr))
      return fail(`${name}: '${part}' must look like tcp:22 or udp:10.0.0.0/8:53, or none`);
    const port = { protocol: protocol.toLowerCase(), port: Number(number) };
    found.push(cidr ? { ...port, net: cidr } : port);
  }
  return ok(found);
}
