// The labels that Kubernetes and Helm recommend, and names that fit into them. They are finished texts:
// where they stand for an expression they are its mark.
import type { Context } from './context.ts';
import { Expr, go, goOf, type Of } from './expr.ts';
import { join } from './functions.ts';

/** Labels of one part of a chart (kubernetes.io/docs: recommended labels; helm.sh/chart). */
export const recommendedLabels = (
  { release, chart }: Context,
  component: string,
): Record<string, string> => ({
  'app.kubernetes.io/name': `${chart.name}`,
  'app.kubernetes.io/instance': `${release.name}`,
  'app.kubernetes.io/version': `${labelValue(chart.appVersion)}`,
  'app.kubernetes.io/component': component,
  'app.kubernetes.io/managed-by': 'Helm',
  'helm.sh/chart': `${labelValue(join(chart.name, '-', chart.version))}`,
});

/** Labels by which pods are selected: they never change from one version to the next. */
export const selectorLabels = (
  { release, chart }: Context,
  component: string,
): Record<string, string> => ({
  'app.kubernetes.io/name': `${chart.name}`,
  'app.kubernetes.io/instance': `${release.name}`,
  'app.kubernetes.io/component': component,
});

/** `RELEASE-part`, cut to the 63 characters that a name of DNS may have. */
export const nameOf = ({ release }: Context, part: string): string =>
  `${cut(join(release.name, '-', part))}`;

const LENGTH_MAX = 63;

function cut(text: Of<string>): Of<string> {
  if (text instanceof Expr) return go(`(trunc ${LENGTH_MAX} ${goOf(text)} | trimSuffix "-")`);
  return text.slice(0, LENGTH_MAX).replace(/-$/, '');
}

// Build metadata of a version (1.2.3+4) is none for a label.
function labelValue(text: Of<string>): Of<string> {
  if (text instanceof Expr) return cut(go(`(${goOf(text)} | replace "+" "_")`));
  return cut(text.replaceAll('+', '_'));
}
