// Which sets may hold an item, found by its labels: most selectors ask for a value of some label, and
// most items have another. A set is filed under that label's values; selectors that ask for none are
// candidates for every item.
import type { Selector } from '../model/selector/selector.ts';
import { INHERITED_PREFIXES } from './read/entity-selector.ts';
import type { LabelMap } from './read/labels.ts';

/** Whatever satisfies the selector has the label, with one of these values if they are told. */
export interface Requirement {
  readonly label: string;
  readonly values?: readonly string[];
}

export class SetCandidates<S> {
  private readonly always: S[] = [];
  private readonly byLabel = new Map<string, S[]>();
  private readonly byValue = new Map<string, Map<string, S[]>>();

  add(selector: Selector, set: S): void {
    const required = requirementOf(selector);
    if (!required) this.always.push(set);
    else if (!required.values) file(this.byLabel, required.label, set);
    else {
      const values = this.byValue.get(required.label) ?? new Map<string, S[]>();
      this.byValue.set(required.label, values);
      for (const value of required.values) file(values, value, set);
    }
  }

  /** At least those whose selector the labels satisfy; some may come twice. */
  *of(maps: readonly (LabelMap | undefined)[]): Generator<S> {
    yield* this.always;
    for (const labels of maps) {
      for (const label in labels) {
        if (!Object.hasOwn(labels, label)) continue;
        const sets = this.byLabel.get(label);
        if (sets) yield* sets;
        const valued = this.byValue.get(label)?.get(labels[label]!);
        if (valued) yield* valued;
      }
    }
  }
}

function file<S>(sets: Map<string, S[]>, key: string, set: S): void {
  const filed = sets.get(key);
  if (filed) filed.push(set);
  else sets.set(key, [set]);
}

/** Undefined: things without any label may satisfy it. */
export function requirementOf(selector: Selector): Requirement | undefined {
  switch (selector.kind) {
    case 'has':
      return { label: selector.label };
    case 'equals':
      return { label: selector.label, values: [selector.value] };
    case 'in':
      return { label: selector.label, values: selector.values };
    case 'and':
      return selector.terms
        .flatMap((term) => requirementOf(term) ?? [])
        .reduce<Requirement | undefined>((a, b) => (a && worth(a) >= worth(b) ? a : b), undefined);
    default:
      return undefined;
  }
}

// What a label's value tells apart: a pod's own labels most, what all pods have least.
function worth({ label, values }: Requirement): number {
  if (!values) return 0;
  if (INHERITED_PREFIXES.some((prefix) => label.startsWith(prefix))) return 1;
  return label.startsWith('projectcalico.org/') ? (label.endsWith('/namespace') ? 2 : 1) : 3;
}
