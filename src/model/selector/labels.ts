// The labels by which selectors see an endpoint: its own, then what its profiles hand down. Labels
// with a profile's prefix are believed only from a profile, so that a pod cannot claim to live in
// another namespace.
import type { Labels } from './match.ts';

/** Labels that only profiles may give; they are ignored on the endpoint itself. */
export const INHERITED_PREFIXES = ['pcns.', 'pcsa.'] as const;

export type LabelMap = Readonly<Record<string, string>>;

/** Own labels win over inherited ones, earlier profiles over later ones. */
export function labelsOf(own: LabelMap, inherited: readonly (LabelMap | undefined)[]): Labels {
  return (name) => {
    if (Object.hasOwn(own, name) && !INHERITED_PREFIXES.some((p) => name.startsWith(p)))
      return own[name];
    for (const labels of inherited) if (labels && Object.hasOwn(labels, name)) return labels[name];
    return undefined;
  };
}

/** What of a stored object's labels are labels. */
export const stringLabels = (labels: LabelMap | undefined): LabelMap =>
  Object.fromEntries(Object.entries(labels ?? {}).filter(([, value]) => typeof value === 'string'));
