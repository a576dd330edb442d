// How long an address may be without an owner before it is freed.

import { fail, ok, type Result } from '../../base/result.ts';
import type { KeyValue } from '../../datastore/store.ts';
import { resourceKey } from '../../model/keys.ts';
import { parseResource } from '../../model/resource.ts';

export const CONFIGURATION_KEY = resourceKey('kubecontrollersconfigurations', 'default');

const GRACE_MILLISECONDS = 15 * 60_000;
const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of `15m`, `1h30m`, `90s` or `0`; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (/^0+$/.test(text)) return 0;
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit!]!, 0);
}

/** The environment's LEAK_GRACE_PERIOD, e.g. `15m`; undefined: not set. */
export function environmentGrace(text: string | undefined): Result<number | undefined> {
  if (!text) return ok(undefined);
  const milliseconds = parseDuration(text);
  return milliseconds === undefined
    ? fail(`LEAK_GRACE_PERIOD: '${text}' is no duration, for example 15m; 0 switches it off`)
    : ok(milliseconds);
}

interface Configuration {
  readonly controllers?: { readonly node?: { readonly leakGracePeriod?: string } | null };
}

/** By KubeControllersConfiguration `default`; 15 minutes when that says nothing. */
export function storedGrace(stored: KeyValue | undefined): number {
  const parsed =
    stored &&
    parseResource<'KubeControllersConfiguration', Configuration>(
      'KubeControllersConfiguration',
      stored.value,
    );
  const text = parsed?.ok ? parsed.value.spec.controllers?.node?.leakGracePeriod : undefined;
  return (text !== undefined ? parseDuration(text) : undefined) ?? GRACE_MILLISECONDS;
}
