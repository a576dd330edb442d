// CNI spec versions and what they change in a call and in a result.

export const SUPPORTED_VERSIONS = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
] as const;
export type CniVersion = (typeof SUPPORTED_VERSIONS)[number];

/** A configuration without cniVersion counts as this one. */
export const DEFAULT_VERSION: CniVersion = '0.2.0';

export const isSupported = (version: string): version is CniVersion =>
  SUPPORTED_VERSIONS.some((v) => v === version);

/** Orders versions numerically. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < 3; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
