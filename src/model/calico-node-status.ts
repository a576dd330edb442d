// CalicoNodeStatus: somebody wants to read in the datastore what a node's speaker knows, again and again.
import type { Json } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { fieldsOf, listOf, text, whole } from './reading/fields.ts';

export const STATUS_CLASSES = ['Agent', 'BGP', 'Routes'] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

export interface CalicoNodeStatusSpec {
  readonly node: string;
  readonly classes: readonly StatusClass[];
  /** 0: not at all. */
  readonly updatePeriodSeconds: number;
}

const DAY_SECONDS = 86_400;

export function parseCalicoNodeStatus(name: string, spec: Json): Result<CalicoNodeStatusSpec> {
  const problems: string[] = [];
  const fields = fieldsOf(spec, problems);
  const classes = listOf(fields, 'classes', `one of ${STATUS_CLASSES.join(', ')}`, (value) =>
    STATUS_CLASSES.find((known) => known === value),
  );
  const node = text(fields, 'node');
  const period = whole(fields, 'updatePeriodSeconds', 0, DAY_SECONDS);
  if (node === undefined) problems.push('node is missing');
  if (problems.length > 0 || node === undefined)
    return fail(`CalicoNodeStatus ${name}: ${problems.join('; ')}`);
  return ok({ node, classes: classes ?? [], updatePeriodSeconds: period ?? 0 });
}
