// What Helm knows beside the values: the release, the chart, and the cluster it renders for. Plain
// manifests are told the same by whoever writes them.
import { go, type Of } from './expr.ts';

/** The surroundings of a construct, in either reading. */
export interface Context {
  readonly release: { readonly name: Of<string>; readonly namespace: Of<string> };
  readonly chart: {
    readonly name: Of<string>;
    readonly version: Of<string>;
    readonly appVersion: Of<string>;
  };
  /** Whether the cluster serves an API, such as `monitoring.coreos.com/v1`. */
  serves(apiVersion: string): Of<boolean>;
  /** Whether the cluster is of this Kubernetes or newer, such as `1.33`. */
  isAtLeast(kubernetes: string): Of<boolean>;
}

/** The chart's reading. */
export const helmContext: Context = {
  release: { name: go('$.Release.Name'), namespace: go('$.Release.Namespace') },
  chart: {
    name: go('$.Chart.Name'),
    version: go('$.Chart.Version'),
    appVersion: go('$.Chart.AppVersion'),
  },
  serves: (apiVersion) => go(`($.Capabilities.APIVersions.Has ${JSON.stringify(apiVersion)})`),
  // -0: pre-releases and vendors' suffixes (1.33.1-gke.1) count as well.
  isAtLeast: (kubernetes) =>
    go(`(semverCompare ">=${kubernetes}-0" $.Capabilities.KubeVersion.Version)`),
};

/** What plain manifests are for. */
export interface Surroundings {
  readonly release: { readonly name: string; readonly namespace: string };
  readonly chart: { readonly name: string; readonly version: string; readonly appVersion: string };
  readonly apiVersions: readonly string[];
  /** Version of Kubernetes, such as `1.36.0`. */
  readonly kubernetes: string;
}

/** The reading of plain manifests. */
export const plainContext = (around: Surroundings): Context => ({
  release: around.release,
  chart: around.chart,
  serves: (apiVersion) => around.apiVersions.includes(apiVersion),
  isAtLeast: (kubernetes) => compare(around.kubernetes, kubernetes) >= 0,
});

function compare(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  const at = [0, 1, 2].find((i) => (left[i] ?? 0) !== (right[i] ?? 0)) ?? 0;
  return (left[at] ?? 0) - (right[at] ?? 0);
}

const numbersOf = (version: string): readonly number[] =>
  (/^v?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? '').split('.').map(Number);
