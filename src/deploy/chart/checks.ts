// The rules of the settings as a template: the chart refuses what cdk8s refuses, in the same
// words. It renders nothing; all faults are collected and reported in one failure.
import { APART, REPEATED, remedyOf } from '../../model/settings/list-rules.ts';
import type { DisjointRule, EachRule, Rule, UniqueRule } from '../../model/settings/rules.ts';
import { IPV4_ADDRESS, IPV4_POOL } from '../../model/settings/rules.ts';
import type { Bounds } from './bounds.ts';

/** The text of the template that checks the rules, and the bounds of integers. */
export function printChecks(rules: readonly Rule[], bounds: readonly Bounds[]): string {
  return [
    '{{- /* The rules that a schema cannot express or explains badly. */}}',
    '{{- $faults := list }}',
    ...bounds.map(checkBounds),
    ...rules.map(check),
    '{{- if $faults }}',
    '{{- fail (printf "\\n%s" (join "\\n" $faults)) }}',
    '{{- end }}',
    '',
  ].join('\n');
}

function checkBounds({ path, field, minimum, maximum }: Bounds): string {
  const [name, value] = [path.join('.'), goPath(path)];
  const wrong = (number: string) =>
    `or (lt (int64 ${number}) ${minimum}) (gt (int64 ${number}) ${maximum})`;
  const words = `is out of range (${minimum} to ${maximum})`;
  if (field === undefined) return fault(wrong(value), `${name}: %s ${words}`, value);
  const message = `(printf ${goText(`${name}.%s.${field}: %s ${words}`)} $key (toRawJson $entry.${field}))`;
  const body = `{{ if ${wrong(`$entry.${field}`)} }}${append('$faults', message)}{{ end }}`;
  return `{{- range $key, $entry := ${value} }}${body}{{ end }}`;
}

const goPath = (path: readonly string[]) => `$.Values.${path.join('.')}`;

function check(rule: Rule): string {
  const value = goPath(rule.path);
  const name = rule.path.join('.');
  switch (rule.kind) {
    case 'pattern': {
      const wrong = `(not (regexMatch ${goText(rule.pattern)} (toString ${value})))`;
      const present = `(not (kindIs "invalid" ${value}))`;
      return fault(`and ${present} ${wrong}`, `${name}: %s ${remedyOf(rule)}`, value);
    }
    case 'range': {
      const number = `(int64 ${value})`;
      const wrong = `or (lt ${number} ${rule.minimum}) (gt ${number} ${rule.maximum})`;
      return fault(wrong, `${name}: %s ${remedyOf(rule)}`, value);
    }
    case 'patternIf': {
      const wrong = `(not (regexMatch ${goText(rule.pattern)} (toString ${value})))`;
      const given = goPath(rule.given);
      const on = rule.off
        ? `(ne (toString (default ${goText(rule.off)} ${given})) ${goText(rule.off)})`
        : given;
      const condition = `and ${on} (not (kindIs "invalid" ${value})) ${wrong}`;
      return fault(condition, `${name}: %s ${rule.message}`, value);
    }
    case 'requiredUnless': {
      const condition = `not (or ${goPath(rule.unless)} ${value})`;
      return fault(condition, `${name}: ${rule.message}`);
    }
    case 'same': {
      const other = goPath(rule.other);
      const condition = `and ${value} ${other} (ne (toString ${value}) (toString ${other}))`;
      return fault(condition, `${name}: %s ${rule.message}`, value);
    }
    case 'each':
      return checkEach(rule);
    case 'unique':
      return checkUnique(rule);
    case 'disjoint':
      return checkDisjoint(rule);
  }
}

// Any part of the path may be absent or null.
const within = (base: string, path: readonly string[]): string =>
  path.reduce((inner, key) => `(get (default (dict) ${inner}) ${goText(key)})`, base);

const listAt = ([top, ...rest]: readonly string[]): string =>
  `(default (list) ${within(`$.Values.${top}`, rest)})`;

/** A loop over the texts that the objects of a list have in a field, as `$text`. */
const overTexts = (path: readonly string[], field: readonly string[], body: string): string =>
  [
    `{{- range $i, $item := ${listAt(path)} }}`,
    `{{- $text := ${within('$item', field)} }}`,
    `{{- if kindIs "string" $text }}${body}{{ end }}`,
    '{{- end }}',
  ].join('');

const placed = (path: readonly string[], field: readonly string[]): string =>
  [...path, '%d', ...field].join('.');

const append = (list: string, item: string): string => `{{ ${list} = append ${list} ${item} }}`;

function checkEach(rule: EachRule): string {
  const format = `${placed(rule.path, rule.field)}: %s ${remedyOf(rule)}`;
  const message = `(printf ${goText(format)} $i (toRawJson $text))`;
  const wrong = `not (regexMatch ${goText(rule.pattern)} $text)`;
  const body = `{{ if ${wrong} }}${append('$faults', message)}{{ end }}`;
  return overTexts(rule.path, rule.field, body);
}

function checkUnique({ path, field }: UniqueRule): string {
  const message = `(printf ${goText(`${placed(path, field)}: %s ${REPEATED}`)} $i (toRawJson $text))`;
  const known = `{{ if has $text $seen }}${append('$faults', message)}{{ end }}`;
  const body = `${known}${append('$seen', '$text')}`;
  return `{{- $seen := list }}${overTexts(path, field, body)}`;
}

/** How many addresses a prefix of each length has. */
const SIZES = Array.from({ length: 33 }, (_, length) => 2 ** (32 - length)).join(' ');

// First and last address as numbers; two prefixes overlap where neither ends before the other begins.
function checkDisjoint({ path, list, field, address, addressIf }: DisjointRule): string {
  const named = (name: string, text: string) => `(dict "name" ${name} "text" ${text})`;
  const own = (at: readonly string[]) =>
    append('$texts', named(goText(at.join('.')), `(toString ${goPath(at)})`));
  const name = `(printf ${goText(placed(list, [field]))} $i)`;
  const octets = [16777216, 65536, 256, 1].map(
    (weight, i) => `(mul (int64 (index $octets ${i})) ${weight})`,
  );
  const pattern = goText(`${IPV4_POOL}|${IPV4_ADDRESS}`);
  const message = `(printf "%s: %s overlaps %s \\"%s\\"; ${APART}" $one.name (toRawJson $one.text) .name .text)`;
  return [
    `{{- $texts := list }}${own(path)}{{ if ${goPath(addressIf)} }}${own(address)}{{ end }}`,
    overTexts(list, [field], append('$texts', named(name, '$text'))),
    `{{- $sizes := list ${SIZES} }}{{ $nets := list }}`,
    `{{- range $one := $texts }}{{ if regexMatch ${pattern} $one.text }}`,
    '{{- $parts := splitList "/" (printf "%s/32" $one.text) }}',
    '{{- $octets := splitList "." (index $parts 0) }}',
    '{{- $size := index $sizes (int (index $parts 1)) }}',
    `{{- $start := mul (div (add ${octets.join(' ')}) $size) $size }}`,
    '{{- $end := add $start $size }}{{ $told := false }}',
    '{{- range $nets }}{{ if and (not $told) (lt $start .end) (lt .start $end) }}',
    `{{- $told = true }}${append('$faults', message)}`,
    '{{- end }}{{ end }}',
    '{{- $nets = append $nets (dict "name" $one.name "text" $one.text "start" $start "end" $end) }}',
    '{{- end }}{{ end }}',
  ].join('\n');
}

function fault(condition: string, format: string, value?: string): string {
  const message = value ? `(printf ${goText(format)} (toRawJson ${value}))` : goText(format);
  return `{{- if ${condition} }}{{ $faults = append $faults ${message} }}{{ end }}`;
}

const goText = (text: string) => JSON.stringify(text);
