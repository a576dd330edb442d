// Columns of numbers that grow.

type Column = Uint32Array | Int32Array | Uint8Array;

/**
 * Room for so many, which is what one peer may tell, comes at once when a few do not fit any more:
 * the kernel gives memory only where it is touched, while to copy long columns costs milliseconds
 * in which nothing else is done.
 */
export const ROOM = 2 ** 22;
/** The next size of a column that is full: a power of two again. */
export const roomAbove = (length: number): number => (length < ROOM ? ROOM : length * 2);

/** A copy with room for `length` values. */
export function grown<T extends Column>(column: T, length: number): T {
  const make = column.constructor as new (length: number) => T;
  const wider = new make(length);
  wider.set(column);
  return wider;
}
