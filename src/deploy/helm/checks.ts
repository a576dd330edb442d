// The rules of the settings as a template: the chart refuses what cdk8s refuses, in the same
// words. It renders nothing; all faults are collected and reported in one failure.
import { remedyOf } from '../../model/settings/check.ts';
import type { Rule } from '../../model/settings/rules.ts';

/** The text of the template that checks the rules. */
export function printChecks(rules: readonly Rule[]): string {
  return [
    '{{- /* The rules that a schema cannot express or explains badly. */}}',
    '{{- $faults := list }}',
    ...rules.map(check),
    '{{- if $faults }}',
    '{{- fail (printf "\\n%s" (join "\\n" $faults)) }}',
    '{{- end }}',
    '',
  ].join('\n');
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
    case 'requiredUnless': {
      const condition = `not (or ${goPath(rule.unless)} ${value})`;
      return fault(condition, `${name}: ${rule.message}`);
    }
    case 'same': {
      const other = goPath(rule.other);
      const condition = `and ${value} ${other} (ne (toString ${value}) (toString ${other}))`;
      return fault(condition, `${name}: %s ${rule.message}`, value);
    }
  }
}

function fault(condition: string, format: string, value?: string): string {
  const message = value ? `(printf ${goText(format)} (toRawJson ${value}))` : goText(format);
  return `{{- if ${condition} }}{{ $faults = append $faults ${message} }}{{ end }}`;
}

const goText = (text: string) => JSON.stringify(text);
