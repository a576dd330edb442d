// Which services a stored policy, staged policy or profile names.
import type { ParsedRule, ParsedSide } from './parsed-rule.ts';
import { parsePolicyResource } from './resources.ts';
import { stagedChange } from './staged.ts';

/** `namespace/name` of each; none for what is no policy. */
export function namedServices(key: string, text: string): ReadonlySet<string> {
  const staged = stagedChange(key, text);
  const resource = staged
    ? parsePolicyResource(staged.key, staged.value ?? '')
    : parsePolicyResource(key, text);
  if (resource?.kind !== 'policy' && resource?.kind !== 'profile') return new Set();
  const { ingress = [], egress = [] } = resource.value;
  return new Set([...ingress, ...egress].flatMap(servicesOf));
}

const servicesOf = ({ source, destination }: ParsedRule): readonly string[] =>
  [source, destination].flatMap(({ sets, portSets }: ParsedSide) =>
    [...sets, ...portSets].flatMap(({ service }) => service?.key ?? []),
  );
