/** Does the work; tells once when it takes longer than the time. */
export async function withPatience<T>(
  milliseconds: number,
  onLong: () => void,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(onLong, milliseconds);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}
