// Values of openstack-helm's calico chart (revisions of Calico v2.6, v3.2 and v3.25) as settings of
// ours. Every key of the file is told of: taken over, left out for a reason, or unknown.
import { type Json, printJson } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';
import { isOn, settingsFrom } from '../settings.ts';
import { type Destination, IGNORED, TAKEN } from './openstack-keys.ts';
import { type ImportReport, put, type ReportLine, type Tree } from './report.ts';

/** `files` are laid over one another as Helm does. */
export function importOpenstackHelm(files: readonly Json[]): ImportReport {
  const source = files.reduce<Json>((base, file) => merge(base, file), {});
  const values: Tree = {};
  // The environment of the node wins over the settings of the network, as it does there.
  const leaves = leavesOf(source, []).toSorted((a, b) => Number(isNode(a)) - Number(isNode(b)));
  const isSwitched = (name: string, otherwise: boolean) =>
    isOn((at(source, name) ?? otherwise) as boolean | string);
  const limited = isSwitched('pod.resources.enabled', false);
  const measured = isSwitched('monitoring.prometheus.enabled', true);
  const lines = leaves.map(({ path, value }): ReportLine => {
    const key = path.join('.');
    const isOff = !limited && /^pod\.resources\.(?!enabled$)/.test(key);
    if (isOff) return { key, outcome: 'left out', words: 'pod.resources.enabled is off' };
    if (!measured && key === 'monitoring.prometheus.calico_node.scrape')
      return { key, outcome: 'left out', words: 'monitoring.prometheus.enabled is off' };
    return take(path, value, values);
  });
  const all = [...lines, ...contradictions(source)];
  const checked = settingsFrom(values);
  return { values, lines: all, faults: checked.ok ? [] : checked.error };
}

function merge(base: Json, over: Json): Json {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Tree = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = merge(merged[key] ?? null, value);
  return merged;
}

interface Leaf {
  readonly path: readonly string[];
  readonly value: Json;
}

const isNode = ({ path }: Leaf): boolean => path[0] === 'conf' && path[1] === 'node';

// A known key is a leaf, whatever it holds, unless more is known of what is below it.
function leavesOf(value: Json, path: readonly string[]): readonly Leaf[] {
  const key = path.join('.');
  const isLeaf =
    destinationOf(path) !== undefined || (IGNORED[key] !== undefined && !isSection(key));
  if (isLeaf || !isObject(value) || Object.keys(value).length === 0) return [{ path, value }];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]));
}

const destinationOf = (path: readonly string[]): Destination | undefined => TAKEN[path.join('.')];

/** The nearest one. */
const reasonOf = (path: readonly string[]): string | undefined =>
  path
    .map((_, i) => IGNORED[path.slice(0, i + 1).join('.')])
    .findLast((reason) => reason !== undefined);

function take(path: readonly string[], value: Json, values: Tree): ReportLine {
  const key = path.join('.');
  const felix = /^conf\.node\.(FELIX_[A-Z0-9]+)$/.exec(key);
  const destination = destinationOf(path) ?? (felix ? { to: key } : undefined);
  if (!destination) {
    const reason = reasonOf(path) ?? (isSection(key) && isNothing(value) ? EMPTY : undefined);
    return { key, ...(reason ? { outcome: 'left out', words: reason } : UNKNOWN) };
  }
  if (value === null) return { key, outcome: 'left out', words: 'it is null' };
  const converted = destination.convert ? destination.convert(value) : { value };
  if ('reason' in converted) return { key, outcome: 'left out', words: converted.reason };
  put(values, destination.to.split('.'), converted.value);
  return { key, outcome: 'taken', words: destination.to };
}

// A section of which nothing is said, such as `ipv4:` in the values of the slides.
const EMPTY = 'there is nothing in it';
const isSection = (key: string): boolean =>
  Object.keys(TAKEN).some((known) => known.startsWith(`${key}.`));
const isNothing = (value: Json): boolean =>
  value === null || (isObject(value) && Object.keys(value).length === 0);

const UNKNOWN = { outcome: 'unknown', words: 'openstack-helm’s chart has no such key' } as const;

function at(value: Json, path: string): Json | undefined {
  return path
    .split('.')
    .reduce<Json | undefined>(
      (here, key) => (here !== undefined && isObject(here) ? here[key] : undefined),
      value,
    );
}

// The chart of 2018 has two switches for one thing.
function contradictions(source: Json): readonly ReportLine[] {
  const enabled = at(source, 'networking.settings.ippool.ipip.enabled');
  const mode = at(source, 'conf.node.CALICO_IPV4POOL_IPIP');
  const isOff = enabled !== undefined && enabled !== null && !isOn(enabled as boolean | string);
  if (!isOff || !mode || /^(off|never)$/i.test(String(mode))) return [];
  return [
    {
      key: 'networking.settings.ippool.ipip.enabled',
      outcome: 'left out',
      words: `it contradicts conf.node.CALICO_IPV4POOL_IPIP ${printJson(mode)}, which is taken; set Never to have no tunnel`,
    },
  ];
}
