// `plan`: what another values file would change, before it is applied.
import type { Json } from '../../base/json.ts';
import type { Values } from '../../model/settings/schema.ts';
import { manifests } from '../manifests.ts';
import { difference, type FieldChange, type ObjectChange } from './difference.ts';
import { type Effect, effectsOf } from './effects.ts';

export interface Plan {
  readonly objects: readonly ObjectChange[];
  readonly effects: readonly Effect[];
}

export function planOf(before: Values, after: Values): Plan {
  const objects = difference(manifests(before), manifests(after));
  return { objects, effects: effectsOf(before, after, objects) };
}

/** For people: the objects with their fields, then what it means. */
export function linesOf({ objects, effects }: Plan): readonly string[] {
  if (objects.length === 0 && effects.length === 0) return ['nothing changes'];
  const width = Math.max(...effects.map(({ kind }) => kind.length), 0);
  return [
    ...objects.flatMap(({ object, change, fields }) => [
      `${{ added: '+', removed: '-', changed: '~' }[change]} ${object}`,
      ...fields.map((field) => `    ${wordsOf(field)}`),
    ]),
    ...(effects.length === 0 ? [] : ['', 'What it does to a cluster that runs:']),
    ...effects.map(({ kind, words }) => `  ${kind.padEnd(width)}  ${words}`),
  ];
}

const SHOWN_MAX = 120;
const wordsOf = ({ path, before, after }: FieldChange): string =>
  `${path}: ${shown(before)} -> ${shown(after)}`;

function shown(value: Json | undefined): string {
  if (value === undefined) return '(none)';
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
}
