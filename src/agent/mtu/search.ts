// The search for what a path swallows: paths that drop large packets without an ICMP answer are found only
// by packets that may not be cut up and that somebody answers.

/** What every IPv4 host takes (RFC 791). */
export const SMALLEST_BYTES = 576;

export type PathVerdict =
  /** Packets as large as pods make them pass. */
  | { readonly kind: 'whole' }
  /** Smaller ones pass; `largest` in octets of the IP packet. */
  | { readonly kind: 'narrow'; readonly largest: number }
  /** Nobody answers: nothing is known. */
  | { readonly kind: 'silent' };

/** `passes`: whether a packet of that many octets is answered. Some ten questions where it is narrow. */
export async function searchPath(
  needed: number,
  passes: (octets: number) => Promise<boolean>,
): Promise<PathVerdict> {
  if (await passes(needed)) return { kind: 'whole' };
  if (needed <= SMALLEST_BYTES || !(await passes(SMALLEST_BYTES))) return { kind: 'silent' };
  let [good, bad] = [SMALLEST_BYTES, needed];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (await passes(middle)) good = middle;
    else bad = middle;
  }
  return { kind: 'narrow', largest: good };
}
