// Medians and the one line per figure.

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The value below which a share `q` of the values lie. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * q), sorted.length - 1)]!;
}

/** `bench <name> ours=<n><unit> peer=<n><unit> ratio=<n> goal<=<n>`; below 1 we win. */
export function figure(
  name: string,
  ours: number,
  peer: number,
  unit: string,
  goal: number,
): string {
  const text = (n: number): string => n.toFixed(2);
  return `bench ${name} ours=${text(ours)}${unit} peer=${text(peer)}${unit} ratio=${text(ours / peer)} goal<=${goal.toFixed(2)}`;
}
