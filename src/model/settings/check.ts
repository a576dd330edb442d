// Checks settings: structure by ajv, then the rules. All faults are reported at once, each as one
// line that names the setting, the value and what would be right.
import { Ajv, type ErrorObject } from 'ajv';
import type { Json } from '../../base/json.ts';
import type { SchemaPart } from '../../base/json-schema.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { eachFaults, overlaps, remedyOf, repeated, valueAt } from './list-rules.ts';
import {
  type PatternIfRule,
  type PatternRule,
  type RangeRule,
  type RequiredUnlessRule,
  type Rule,
  rules,
  type SameRule,
} from './rules.ts';
import { schema, type Values } from './schema.ts';

const validate = new Ajv({ allErrors: true, strict: false, verbose: true }).compile(schema);

type ValueRule = PatternIfRule | PatternRule | RangeRule | RequiredUnlessRule | SameRule;

/** Checks whole settings (defaults merged in). Errors: one line per fault. */
export function checkValues(values: Json): Result<Values, readonly string[]> {
  const structural = validate(values) ? [] : (validate.errors ?? []);
  const seen = new Set(structural.map(pathOf));
  const ruled = rules.filter((rule) => readBy(rule).every((path) => !seen.has(path.join('.'))));
  const faults = [...structural.map(describe), ...ruled.flatMap((rule) => faultsOf(rule, values))];
  return faults.length > 0 ? fail(faults) : ok(values as unknown as Values);
}

/** The settings that a rule looks at. */
function readBy(rule: Rule): readonly (readonly string[])[] {
  switch (rule.kind) {
    case 'pattern':
    case 'range':
      return [rule.path];
    case 'requiredUnless':
      return [rule.path, rule.unless];
    case 'same':
      return [rule.path, rule.other];
    case 'patternIf':
      return [rule.path, rule.given];
    case 'each':
    case 'unique':
      return [rule.path];
    case 'disjoint':
      return [rule.path, rule.list, rule.address];
  }
}

function faultsOf(rule: Rule, values: Json): readonly string[] {
  if (rule.kind === 'each') return eachFaults(rule, values);
  if (rule.kind === 'unique') return repeated(rule, values);
  if (rule.kind === 'disjoint') return overlaps(rule, values);
  return faultOf(rule, values) ?? [];
}

function faultOf(rule: ValueRule, values: Json): string[] | undefined {
  const value = valueAt(values, rule.path);
  const name = rule.path.join('.');
  switch (rule.kind) {
    case 'pattern': {
      if (value === undefined) return undefined;
      const good = new RegExp(rule.pattern).test(String(value));
      return good ? undefined : [`${name}: ${JSON.stringify(value)} ${remedyOf(rule)}`];
    }
    case 'range': {
      if (value === undefined) return undefined;
      const good = Number(value) >= rule.minimum && Number(value) <= rule.maximum;
      return good ? undefined : [`${name}: ${JSON.stringify(value)} ${remedyOf(rule)}`];
    }
    case 'patternIf': {
      const given = valueAt(values, rule.given) || '';
      if (value === undefined || given === '' || given === rule.off) return undefined;
      const good = new RegExp(rule.pattern).test(String(value));
      return good ? undefined : [`${name}: ${JSON.stringify(value)} ${rule.message}`];
    }
    case 'requiredUnless': {
      const excused = valueAt(values, rule.unless) !== false || (value ?? '') !== '';
      return excused ? undefined : [`${name}: ${rule.message}`];
    }
    case 'same': {
      const other = valueAt(values, rule.other);
      const differ = value !== undefined && other !== undefined && value !== other;
      return differ ? [`${name}: ${JSON.stringify(value)} ${rule.message}`] : undefined;
    }
  }
}

const pathOf = (error: ErrorObject) => error.instancePath.slice(1).replaceAll('/', '.');

// ajv's own words, rewritten so that they name the setting by its path in values.yaml.
function describe(error: ErrorObject): string {
  const path = pathOf(error) || 'values';
  const shown = JSON.stringify(error.data);
  const params = error.params as Record<string, string | number | readonly string[]>;
  const { minimum, maximum } = (error.parentSchema ?? {}) as Record<string, number>;
  const allowed = [params['allowedValues']].flat();
  switch (error.keyword) {
    case 'additionalProperties':
      return `${path}: "${params['additionalProperty']}" is not a setting${hint(error)}`;
    case 'required':
      return `${path}: "${params['missingProperty']}" is missing; ${remedyOfMissing(path)}`;
    case 'type':
      return `${path}: ${shown} is not of type ${[params['type']].flat().join(' or ')}${unquoted(error)}`;
    case 'enum':
      return `${path}: ${shown} is none of ${allowed.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'minimum':
    case 'maximum':
      return `${path}: ${shown} is out of range (${minimum} to ${maximum})`;
    default:
      return `${path}: ${shown} ${error.message}`;
  }
}

// What has a default is only missing where somebody wrote null; in a list nothing has one.
const remedyOfMissing = (path: string): string =>
  /\.\d+(\.|$)/.test(path) ? 'add it' : 'leave it out to get the default';

// What is quoted in YAML is a text.
function unquoted({ data, params, parentSchema }: ErrorObject): string {
  const wanted = [(params as Record<string, unknown>)['type']].flat();
  const isMeant =
    (wanted.includes('integer') && /^-?\d+$/.test(String(data))) ||
    (wanted.includes('boolean') && /^(true|false)$/.test(String(data)));
  if (typeof data === 'string' && isMeant) return `; write ${data} without quotes`;
  if (wanted.join() === 'boolean') return '; write true or false';
  const { default: example = '' } = (parentSchema ?? {}) as SchemaPart;
  return typeof example === 'object' || example === '' ? '' : `, for example ${example}`;
}

function hint(error: ErrorObject): string {
  const { properties, patternProperties } = error.parentSchema as SchemaPart;
  const known = [...Object.keys(properties ?? {}), ...Object.keys(patternProperties ?? {})];
  return known.length > 0 ? `; known here: ${known.join(', ')}` : '';
}
