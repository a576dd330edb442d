// What the environment says of MTUs; it goes before FelixConfiguration, as everywhere in Felix.
import { fail, ok, type Result } from '../../base/result.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import { type Encapsulation, overheadOf } from '../../model/mtu.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `90s`, `1m30s` or `500ms`; undefined: it is none, or nothing. */
export function durationOf(text: string): number | undefined {
  if (!/^(\d+(ms|s|m|h))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h)/g)];
  return (
    parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!, 0) || undefined
  );
}

const [MTU_MIN, MTU_MAX] = [576, 65_535];

/** Octets; absent: found by looking. */
export type TunnelMtus = Readonly<Partial<Record<Encapsulation, number>>>;

export interface MtuSettings {
  /** CNI_MTU: what pods were meant to get when the node pod started, encapsulation already subtracted. */
  readonly asked: number | undefined;
  /** CALICO_PHYSICAL_MTU: what the interfaces are meant to carry; undefined: nobody said. */
  readonly physical?: number | undefined;
  readonly tunnels: TunnelMtus;
  /** Interfaces that lead to other nodes. */
  readonly pattern: RegExp | undefined;
  /** Paths to other nodes are probed; undefined: they are not. */
  readonly probe?: { readonly intervalMilliseconds: number; readonly port: number };
}

const PROBE_PORT = 9097;

export interface MtuEnvironment {
  readonly [name: string]: string | undefined;
}

/** Felix's own: Ethernet, InfiniBand and wireless links by the kernel's and systemd's names. */
export const MTU_INTERFACES = /^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)/;

/** Errors: the first variable that cannot be used. */
export function mtuSettings(env: MtuEnvironment): Result<MtuSettings> {
  const wrong: string[] = [];
  const mtu = (name: string): number | undefined => {
    const bytes = Number(env[name] || 0);
    if (bytes !== 0 && !(Number.isInteger(bytes) && bytes >= MTU_MIN && bytes <= MTU_MAX))
      wrong.push(`${name}: '${env[name]}' must be ${MTU_MIN} to ${MTU_MAX}`);
    return bytes || undefined;
  };
  const asked = env['FELIX_MTUPROBEINTERVAL'] || '0';
  const interval = asked === '0' ? undefined : durationOf(asked);
  if (asked !== '0' && !interval)
    wrong.push(`FELIX_MTUPROBEINTERVAL: '${asked}' must look like 60s or 5m; 0 is off`);
  const port = Number(env['FELIX_MTUPROBEPORT'] || PROBE_PORT);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    wrong.push(`FELIX_MTUPROBEPORT: '${env['FELIX_MTUPROBEPORT']}' is no port (1 to 65535)`);
  const text = env['FELIX_MTUIFACEPATTERN'] || undefined;
  const pattern = text === undefined ? undefined : patternOf(text);
  const settings = {
    asked: mtu('CNI_MTU'),
    physical: mtu('CALICO_PHYSICAL_MTU'),
    tunnels: present({
      ipip: mtu('FELIX_IPINIPMTU'),
      vxlan: mtu('FELIX_VXLANMTU'),
      vxlanV6: mtu('FELIX_VXLANMTUV6'),
    }),
    pattern,
    ...(interval ? { probe: { intervalMilliseconds: interval, port } } : {}),
  };
  if (text !== undefined && !pattern)
    wrong.push(`FELIX_MTUIFACEPATTERN: '${text}' is no regular expression`);
  return wrong[0] === undefined ? ok(settings) : fail(wrong[0]);
}

/** What pods are meant to get as the pools are now; octets, undefined: what fits. */
export const askedNow = (
  { asked, physical }: Pick<MtuSettings, 'asked' | 'physical'>,
  encapsulations: ReadonlySet<Encapsulation>,
): number | undefined => (physical === undefined ? asked : physical - overheadOf(encapsulations));

/** What counts: the environment's over FelixConfiguration's. A pattern that is none is not obeyed. */
export function effectiveSettings(
  own: MtuSettings,
  { ipipMTU, vxlanMTU, vxlanMTUV6, mtuIfacePattern }: FelixConfigurationSpec,
): Required<Pick<MtuSettings, 'tunnels'>> & { readonly pattern: RegExp } {
  const stored = present({ ipip: ipipMTU, vxlan: vxlanMTU, vxlanV6: vxlanMTUV6 });
  const pattern = own.pattern ?? (mtuIfacePattern ? patternOf(mtuIfacePattern) : undefined);
  return { tunnels: { ...stored, ...own.tunnels }, pattern: pattern ?? MTU_INTERFACES };
}

// 0 leaves it to the program.
const present = (mtus: { readonly [each in Encapsulation]: number | undefined }): TunnelMtus =>
  Object.fromEntries(Object.entries(mtus).filter(([, bytes]) => Number(bytes) > 0));

function patternOf(text: string): RegExp | undefined {
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}
