// What is asked of a connection beside its ends, as people write it.
import { fail, ok, type Result } from '../../base/result.ts';
import type { Ports } from './matrix.ts';

/** Any port of the range for which programs do not listen: a client's. */
const CLIENT_PORT = 50_000;

/** `80`, `53/udp`, `icmp`, `icmp/8`, or a protocol's number such as `47`. */
export function parsePort(text: string): Result<Ports> {
  const wrong = fail(`'${text}': give a port such as 80 or 53/udp, icmp/8, or a protocol`);
  const [first = '', second] = text.toLowerCase().split('/');
  if (first === 'icmp' || first === 'icmpv6') {
    const type = Number(second ?? (first === 'icmp' ? 8 : 128));
    return type >= 0 && type <= 255 ? ok({ protocol: first, icmp: { type, code: 0 } }) : wrong;
  }
  const destinationPort = Number(first);
  const protocol = second ?? 'tcp';
  if (!/^\d{1,5}$/.test(first) || destinationPort < 1 || destinationPort > 65535) return wrong;
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) return wrong;
  return ok({ protocol, sourcePort: CLIENT_PORT, destinationPort });
}
