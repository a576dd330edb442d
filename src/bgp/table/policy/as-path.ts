// AS_PATH as it grows on the way (RFC 4271 section 5.1.2).
import type { Asn } from '../../../net/asn.ts';
import type { AsSegment } from '../../codec/attributes.ts';

const SEGMENT_ASNS_MAX = 255;

export function prepend(asn: Asn, path: readonly AsSegment[]): readonly AsSegment[] {
  const [first, ...rest] = path;
  if (first?.kind === 'sequence' && first.asns.length < SEGMENT_ASNS_MAX)
    return [{ kind: 'sequence', asns: [asn, ...first.asns] }, ...rest];
  return [{ kind: 'sequence', asns: [asn] }, ...path];
}
