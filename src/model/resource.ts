// Calico's v3 resources as stored in etcd: one envelope, a spec per kind. Unknown fields survive a
// read and a write, since `parseResource` keeps the object as it came.
import { type Json, parseJson, printJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';

export const API_VERSION = 'projectcalico.org/v3';

export interface ResourceMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Resource<Kind extends string, Spec> {
  readonly kind: Kind;
  readonly apiVersion: string;
  readonly metadata: ResourceMetadata;
  readonly spec: Spec;
  readonly status?: Json;
}

/** Checks a spec: undefined when it is good, else what is wrong. */
export type SpecCheck = (spec: Json) => string | undefined;

/** Parses a stored value of the given kind. Errors: bad JSON, wrong kind, no name, bad spec. */
export function parseResource<Kind extends string, Spec>(
  kind: Kind,
  text: string,
  check: SpecCheck = () => undefined,
): Result<Resource<Kind, Spec>> {
  let value: Json;
  try {
    value = parseJson(text);
  } catch (error) {
    return fail(`${kind}: ${String(error)}`);
  }
  if (!isObject(value)) return fail(`${kind}: not an object`);
  if (value['kind'] !== kind) return fail(`${kind}: kind is ${printJson(value['kind'])}`);
  const metadata = value['metadata'];
  if (!isObject(metadata ?? null) || typeof (metadata as { name?: Json }).name !== 'string') {
    return fail(`${kind}: metadata.name is missing`);
  }
  const spec = value['spec'] ?? {};
  const wrong = isObject(spec) ? check(spec) : 'spec is not an object';
  if (wrong) return fail(`${kind} ${String((metadata as { name: Json }).name)}: ${wrong}`);
  return ok({ ...value, spec } as unknown as Resource<Kind, Spec>);
}

/** Prints for storage (resourceVersion and selfLink are never stored). */
export function printResource(resource: Resource<string, object>): string {
  const {
    resourceVersion: _rv,
    selfLink: _sl,
    ...metadata
  } = resource.metadata as ResourceMetadata & {
    resourceVersion?: string;
    selfLink?: string;
  };
  return printJson({ ...resource, metadata });
}

export const isObject = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
