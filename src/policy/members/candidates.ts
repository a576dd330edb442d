// Which selectors may match, found by labels: most selectors ask for a value of some label, and most things
// have another. What a selector stands for (an ip set, a policy) is filed under that label's values;
// selectors that ask for none are candidates for everything.

import { INHERITED_PREFIXES, type LabelMap } from '../../model/selector/labels.ts';
import type { Selector } from '../../model/selector/selector.ts';

/** Whatever satisfies the selector has the label, with one of these values if they are told. */
export interface Requirement {
  readonly label: string;
  readonly values?: readonly string[];
}

type Files<T> = Map<string, Set<T>>;

export class Candidates<T> {
  private readonly always = new Set<T>();
  private readonly byLabel: Files<T> = new Map();
  private readonly byValue = new Map<string, Files<T>>();

  add(selector: Selector, one: T): void {
    this.place(selector, (files, name) => {
      const filed = files.get(name);
      if (filed) filed.add(one);
      else files.set(name, new Set([one]));
    })?.add(one);
  }

  remove(selector: Selector, one: T): void {
    this.place(selector, (files, name) => {
      const filed = files.get(name);
      filed?.delete(one);
      if (filed?.size === 0) files.delete(name);
    })?.delete(one);
  }

  // Undefined: `at` has been told each file and name under which it belongs.
  private place(
    selector: Selector,
    at: (files: Files<T>, name: string) => void,
  ): Set<T> | undefined {
    const required = requirementOf(selector);
    if (!required) return this.always;
    const { label, values } = required;
    if (!values) at(this.byLabel, label);
    else {
      const files: Files<T> = this.byValue.get(label) ?? new Map();
      for (const value of values) at(files, value);
      if (files.size > 0) this.byValue.set(label, files);
      else this.byValue.delete(label);
    }
    return undefined;
  }

  /** At least those whose selector the labels satisfy, each once. */
  of(maps: readonly (LabelMap | undefined)[]): ReadonlySet<T> {
    let found: Set<T> | undefined;
    for (const labels of maps) {
      for (const label in labels) {
        if (!Object.hasOwn(labels, label)) continue;
        found = joined(found, this.byLabel.get(label));
        found = joined(found, this.byValue.get(label)?.get(labels[label]!));
      }
    }
    return found ? joined(found, this.always)! : this.always;
  }
}

function joined<T>(found: Set<T> | undefined, more: ReadonlySet<T> | undefined) {
  if (!more) return found;
  if (!found) return new Set(more);
  for (const one of more) found.add(one);
  return found;
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
