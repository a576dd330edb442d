// The marks that tell a peer how far it has been told: the end of the first telling (RFC 4724 section 2),
// begin and end of a telling that it asked for (RFC 7313 section 3.2).
import type { Family } from '../../../net/ip.ts';
import { FLAG, TYPE } from '../../codec/attributes.ts';
import { AFI_OF, SAFI_UNICAST } from '../../codec/families.ts';
import { encodeMessage, HEADER_OCTETS } from '../../codec/message.ts';

export type Mark = 'endOfRib' | 'beginOfRefresh' | 'endOfRefresh';

export function markMessage(mark: Mark, family: Family): Uint8Array {
  if (mark === 'endOfRib') return endOfRibMessage(family);
  const subtype = mark === 'beginOfRefresh' ? 'begin' : 'end';
  return encodeMessage({ kind: 'routeRefresh', family, subtype }, { fourOctetAs: true });
}

const UPDATE = 2;

function endOfRibMessage(family: Family): Uint8Array {
  const attributes =
    family === 4 ? [] : [FLAG.optional, TYPE.mpUnreach, 3, 0, AFI_OF[6], SAFI_UNICAST];
  const length = HEADER_OCTETS + 4 + attributes.length;
  const bytes = new Uint8Array(length).fill(255, 0, 16);
  bytes.set([0, length, UPDATE, 0, 0, 0, attributes.length, ...attributes], 16);
  return bytes;
}
