// What the operator has set, as each process came to know it: a process may act on what it knew when
// a request came in, never on less.

import { parseJson } from '../../src/base/json.ts';
import type { Change, Listing } from '../../src/datastore/store.ts';
import { parseIpamConfig } from '../../src/model/ipam.ts';
import type { IpamConfig } from '../../src/model/ipam-config.ts';
import { IPAM, parseKey, resourcePrefix } from '../../src/model/keys.ts';
import { type Cidr, contains } from '../../src/net/cidr.ts';
import type { Ip } from '../../src/net/ip.ts';
import type { Micros } from './scheduler.ts';

export interface Settings {
  readonly config: IpamConfig | undefined;
  readonly pools: ReadonlyMap<string, Spec>;
  /** Of the node itself. */
  readonly zone: string | undefined;
  readonly reserved: ReadonlyMap<string, readonly Cidr[]>;
}

const NONE: Settings = {
  config: undefined,
  pools: new Map(),
  zone: undefined,
  reserved: new Map(),
};

export const isReserved = ({ reserved }: Settings, ip: Ip): boolean =>
  [...reserved.values()].some((cidrs) => cidrs.some((cidr) => contains(cidr, ip)));

export const isEnabled = ({ pools }: Settings, ip: Ip): boolean =>
  [...pools.values()].some(({ cidr, disabled }) => !disabled && contains(cidr, ip));

/** Whether the address's pool selects the node. */
export const isSelected = ({ pools, zone }: Settings, ip: Ip): boolean =>
  [...pools.values()].some(
    ({ cidr, nodeSelector = 'all()' }) =>
      contains(cidr, ip) && ['all()', `zone == '${zone}'`].includes(nodeSelector),
  );

/** The versions that one process has seen. */
export class SeenSettings {
  private readonly node: string;
  private readonly versions: { readonly at: Micros; readonly settings: Settings }[] = [];

  constructor(node: string) {
    this.node = node;
  }

  get latest(): Settings {
    return this.versions.at(-1)?.settings ?? NONE;
  }

  /** A delivery of the watch under the prefix: changes, or all that is there. */
  learn(prefix: string, delivered: readonly Change[] | Listing, at: Micros): void {
    const known = this.latest;
    let settings = 'items' in delivered ? without(prefix, known) : known;
    for (const item of 'items' in delivered ? delivered.items : delivered) {
      const change = 'kind' in item ? item : ({ kind: 'put', item } as const);
      if (!isOfOthers(change, prefix)) settings = changed(settings, change, this.node);
    }
    if (settings !== known) this.versions.push({ at, settings });
  }

  /** Whether it held in every version since the one that was known at `from`. */
  alwaysSince(from: Micros, holds: (settings: Settings) => boolean): boolean {
    const last = this.versions.findLastIndex(({ at }) => at < from);
    return last >= 0 && this.versions.slice(last).every(({ settings }) => holds(settings));
  }
}

// A node follows its own key as a prefix, which the keys of node-10 and so on have too.
function isOfOthers(change: Change, prefix: string): boolean {
  const path = change.kind === 'put' ? change.item.key : change.key;
  return path.startsWith(resourcePrefix('nodes')) && path !== prefix;
}

function without(prefix: string, settings: Settings): Settings {
  if (prefix === IPAM) return { ...settings, config: undefined };
  if (prefix === resourcePrefix('ippools')) return { ...settings, pools: NONE.pools };
  return prefix === resourcePrefix('ipreservations')
    ? { ...settings, reserved: NONE.reserved }
    : settings;
}

function changed(settings: Settings, change: Change, node: string): Settings {
  const path = change.kind === 'put' ? change.item.key : change.key;
  const key = parseKey(path);
  const text = change.kind === 'put' ? change.item.value : undefined;
  if (key?.kind === 'ipamConfig') {
    const config = text === undefined ? undefined : parseIpamConfig(text);
    return { ...settings, config: config?.ok ? config.value : undefined };
  }
  if (key?.kind !== 'resource') return settings;
  if (key.plural === 'nodes')
    return key.name === node ? { ...settings, zone: text && zoneOf(text) } : settings;
  const spec = text === undefined ? undefined : specOf(text);
  if (key.plural === 'ippools') {
    return { ...settings, pools: put(settings.pools, key.name, spec) };
  }
  if (key.plural === 'ipreservations') {
    return { ...settings, reserved: put(settings.reserved, key.name, spec?.reservedCIDRs) };
  }
  return settings;
}

interface Spec {
  readonly cidr: Cidr;
  readonly disabled?: boolean;
  readonly nodeSelector?: string;
  readonly reservedCIDRs?: readonly Cidr[];
}

const specOf = (text: string): Spec => (parseJson(text) as unknown as { spec: Spec }).spec;

const zoneOf = (text: string): string =>
  (parseJson(text) as unknown as { metadata: { labels: { zone: string } } }).metadata.labels.zone;

function put<T>(map: ReadonlyMap<string, T>, name: string, value: T | undefined): Map<string, T> {
  const copy = new Map(map);
  if (value === undefined) copy.delete(name);
  else copy.set(name, value);
  return copy;
}
