// An installation of Calico's own as settings of ours: from its resources (calicoctl or kubectl get -o
// yaml, or the datastore), from its manifests, and from the operator's Installation. Everything that was
// read is told of: taken over, or left out for a reason.
import type { Json } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';
import { settingsFrom } from '../settings.ts';
import { takeInstallation, takeManifest } from './calico-manifests.ts';
import { takeResource } from './calico-resources.ts';
import { type ImportReport, put, type ReportLine, type Tree } from './report.ts';

/** An object that is looked at, and the ways to say what became of it. */
export interface Taking {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly metadata: Tree;
  readonly spec: Tree;
  readonly object: Tree;
  /** `from` is a field of the object; `to` a path in our values. */
  take(from: string, to: string, value: Json): void;
  leave(from: string, why: string): void;
  /** Adds to a list of our values. */
  add(from: string, to: string, value: Json): void;
}

/** `documents` are objects or Lists of them, in any order. */
export function importCalico(documents: readonly Json[]): ImportReport {
  const values: Tree = {};
  const lines: ReportLine[] = [];
  const objects = documents.flatMap(objectsOf).toSorted((a, b) => orderOf(a) - orderOf(b));
  for (const object of objects) {
    const taking = takingOf(object, values, lines);
    const known = takeResource(taking) || takeManifest(taking) || takeInstallation(taking);
    if (!known) taking.leave('', `nothing of ours is like ${article(taking.kind)}`);
  }
  const checked = settingsFrom(values);
  return { values, lines, faults: checked.ok ? [] : checked.error };
}

const article = (kind: string): string => `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`;

function objectsOf(document: Json): readonly Tree[] {
  if (Array.isArray(document)) return document.flatMap(objectsOf);
  if (!isObject(document)) return [];
  const { items } = document;
  return Array.isArray(items) ? items.flatMap(objectsOf) : [document as Tree];
}

// What runs says more than what it was started with: environment first, resources over it.
const ORDER = [
  'ConfigMap',
  'DaemonSet',
  'Deployment',
  'Installation',
  'IPPool',
  'BGPConfiguration',
];
const orderOf = (object: Tree): number => {
  const at = ORDER.indexOf(String(object['kind']));
  return at < 0 ? ORDER.length : at;
};

const tree = (value: Json | undefined): Tree => (isObject(value ?? null) ? (value as Tree) : {});

function takingOf(object: Tree, values: Tree, lines: ReportLine[]): Taking {
  const metadata = tree(object['metadata']);
  const kind = String(object['kind'] ?? 'object without a kind');
  const name = String(metadata['name'] ?? '');
  const key = (field: string): string => [`${kind} ${name}`, field].filter(Boolean).join(' ');
  const taken = (from: string, to: string): void => {
    lines.push({ key: key(from), outcome: 'taken', words: to });
  };
  return {
    ...{ kind, name, metadata, object },
    namespace: typeof metadata['namespace'] === 'string' ? metadata['namespace'] : undefined,
    spec: tree(object['spec']),
    take(from, to, value) {
      put(values, to.split('.'), value);
      taken(from, to);
    },
    leave(from, why) {
      lines.push({ key: key(from), outcome: 'left out', words: why });
    },
    add(from, to, value) {
      const path = to.split('.');
      const list = path.reduce<Json | undefined>((here, part) => tree(here)[part], values);
      put(values, path, [...(Array.isArray(list) ? list : []), value]);
      taken(from, to);
    },
  };
}
