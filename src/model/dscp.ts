// DSCP, the six bits of a packet's header that ask a network for a manner of forwarding (RFC 2474), by
// IANA's names as Calico takes them, or by number.

const DSCP_MAX = 63;
const NAMES: Readonly<Record<string, number>> = {
  DF: 0, // RFC 2474: default forwarding
  LE: 1, // RFC 8622: lower effort
  VA: 44, // RFC 5865: voice admit
  EF: 46, // RFC 3246: expedited forwarding
};

/** The six bits as a number; undefined when it is neither a name nor 0 to 63. */
export function dscpOf(value: unknown): number | undefined {
  const text = String(value);
  if (/^\d{1,2}$/.test(text)) return Number(text) <= DSCP_MAX ? Number(text) : undefined;
  if (Object.hasOwn(NAMES, text)) return NAMES[text];
  const selector = /^CS([0-7])$/.exec(text); // RFC 2474, section 4.2.2
  if (selector) return 8 * Number(selector[1]);
  const assured = /^AF([1-4])([1-3])$/.exec(text); // RFC 2597, section 6
  return assured ? 8 * Number(assured[1]) + 2 * Number(assured[2]) : undefined;
}
