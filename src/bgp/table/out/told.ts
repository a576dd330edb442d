// What a group of peers is told of prefixes: attributes and next hop as they leave, encoded once.
import { bytesOfIp, type Family, familyOf, type Ip } from '../../../net/ip.ts';
import { octetsOfAttributes, type PathAttributes } from '../../codec/attributes.ts';

export interface Told {
  readonly attributes: PathAttributes;
  readonly nextHop: Ip;
  /** The attributes as they travel, MP_REACH_NLRI not among them. */
  readonly octets: Uint8Array;
  /** Undefined: the prefixes travel in the classic field, the next hop among the attributes. */
  readonly mpNextHop: Uint8Array | undefined;
  /** Equal exactly when nothing that the peer hears differs. */
  readonly key: string;
  /** Prefixes of the group that are told so. */
  uses: number;
}

/** IPv4 travels in the classic fields unless its next hop is IPv6 (RFC 8950). */
export function toldOf(
  attributes: PathAttributes,
  nextHop: Ip,
  family: Family,
  fourOctetAs: boolean,
): Told {
  const classic = family === 4 && familyOf(nextHop) === 4;
  const octets = octetsOfAttributes(attributes, classic ? nextHop : undefined, fourOctetAs);
  const key = `${octets.toString('latin1')}${classic ? '' : nextHop}`;
  const mpNextHop = classic ? undefined : bytesOfIp(nextHop);
  return { attributes, nextHop, octets, mpNextHop, key, uses: 0 };
}
