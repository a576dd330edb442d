// Staged policies: read and evaluated, never enforced. Each says what the enforced policy of its
// name shall become; asked with that in place, the evaluator answers what it would do.
import { type Json, parseJson, printJson } from '../../base/json.ts';
import type { NetworkPolicy } from '../../kubernetes/api.ts';
import { namespacedKey, parseKey, resourceKey } from '../../model/keys.ts';
import type { StagedAction } from '../../model/policy.ts';
import { API_VERSION, isObject } from '../../model/resource.ts';
import { convertNetworkPolicy, POLICY_PREFIX } from '../kubernetes/convert-network-policy.ts';

/** What enforcing a staged policy would store; undefined value: the enforced one goes. */
export interface StagedChange {
  readonly key: string;
  readonly value: string | undefined;
}

/** Undefined: no staged policy, or one that asks for nothing (Ignore, Learn). */
export function stagedChange(path: string, text: string): StagedChange | undefined {
  const key = parseKey(path);
  if (key?.kind === 'resource' && key.plural === 'stagedglobalnetworkpolicies')
    return changeOf(resourceKey('globalnetworkpolicies', key.name), 'GlobalNetworkPolicy', text);
  if (key?.kind !== 'namespaced') return undefined;
  const { plural, namespace, name } = key;
  if (plural === 'stagednetworkpolicies')
    return changeOf(namespacedKey('networkpolicies', namespace, name), 'NetworkPolicy', text);
  if (plural !== 'stagedkubernetesnetworkpolicies') return undefined;
  const enforced = namespacedKey('networkpolicies', namespace, POLICY_PREFIX + name);
  return changeOf(enforced, 'NetworkPolicy', text, (spec) => {
    const own = { metadata: { name, namespace }, spec } as unknown as NetworkPolicy;
    return convertNetworkPolicy(own).spec as unknown as Json;
  });
}

function changeOf(
  key: string,
  kind: string,
  text: string,
  convert: (spec: Json) => Json = (spec) => spec,
): StagedChange | undefined {
  const resource = parsed(text);
  const { stagedAction, ...spec } = resource.spec;
  switch ((stagedAction ?? 'Set') as StagedAction) {
    case 'Delete':
      return { key, value: undefined };
    case 'Set': {
      const { metadata } = resource;
      const value = { kind, apiVersion: API_VERSION, metadata, spec: convert(spec) };
      return { key, value: printJson(value) };
    }
    default:
      return undefined;
  }
}

type Fields = { readonly [name: string]: Json };

// What cannot be read stays unreadable: as an enforced policy it closes what it selects.
function parsed(text: string): { readonly metadata: Json; readonly spec: Fields } {
  try {
    const value = parseJson(text);
    if (isObject(value)) {
      const spec = value['spec'] ?? {};
      return { metadata: value['metadata'] ?? null, spec: isObject(spec) ? spec : {} };
    }
  } catch {
    // Below.
  }
  return { metadata: null, spec: {} };
}

/** The stored state as it would be if all staged policies were enforced; undefined: there are none. */
export function withStaged(
  items: Iterable<readonly [key: string, value: string]>,
): ReadonlyMap<string, string> | undefined {
  const all = new Map(items);
  const changes = [...all].flatMap(([key, value]) => stagedChange(key, value) ?? []);
  for (const { key, value } of changes) {
    if (value === undefined) all.delete(key);
    else all.set(key, value);
  }
  return changes.length > 0 ? all : undefined;
}
