// Communities in path attributes: well-known ones (IANA's registry; RFC 1997, RFC 8326, RFC 9494),
// and large ones (RFC 8092), which the codec hands through as an attribute of type 32.
import type { Community } from '../../../net/community.ts';
import { FLAG, type PathAttributes } from '../../codec/attributes.ts';
import { u32 } from '../../codec/reader.ts';

export const NO_EXPORT = 0xffffff01;
export const NO_ADVERTISE = 0xffffff02;
export const NO_EXPORT_SUBCONFED = 0xffffff03;
export const GRACEFUL_SHUTDOWN = 0xffff0000;
export const LLGR_STALE = 0xffff0006;
export const NO_LLGR = 0xffff0007;

const LARGE_COMMUNITIES = 32;
const OCTETS = 12;

export function hasCommunity(attributes: PathAttributes, community: Community): boolean {
  if (community.kind === 'standard')
    return attributes.communities?.includes(community.value) ?? false;
  return largeOf(attributes).includes(community.value.join(':'));
}

/** The attributes with these communities too; each stands there once. */
export function withCommunities(
  attributes: PathAttributes,
  more: readonly Community[],
): PathAttributes {
  const fresh = more.filter((community) => !hasCommunity(attributes, community));
  const values = fresh.flatMap((c) => (c.kind === 'standard' ? [c.value] : []));
  const large = fresh.flatMap((c) => (c.kind === 'large' ? [c.value.join(':')] : []));
  return {
    ...attributes,
    ...(values.length > 0 ? { communities: [...(attributes.communities ?? []), ...values] } : {}),
    ...(large.length > 0 ? { unknown: withLarge(attributes, large) } : {}),
  };
}

export const standard = (value: number): Community => ({ kind: 'standard', value });

const largeOf = ({ unknown = [] }: PathAttributes): readonly string[] =>
  unknown
    .filter(({ type }) => type === LARGE_COMMUNITIES)
    .flatMap(({ value }) => {
      const view = new DataView(value.buffer, value.byteOffset, value.length);
      return Array.from({ length: Math.floor(value.length / OCTETS) }, (_, i) =>
        [0, 4, 8].map((part) => view.getUint32(i * OCTETS + part)).join(':'),
      );
    });

// In ascending order, so that equal sets have equal octets (RFC 8092 section 4 leaves it open).
function withLarge(attributes: PathAttributes, more: readonly string[]) {
  const all = [...largeOf(attributes), ...more]
    .map((text) => text.split(':').map(Number))
    .sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]! || a[2]! - b[2]!);
  const value = Uint8Array.from(all.flatMap((parts) => parts.flatMap(u32)));
  const others = (attributes.unknown ?? []).filter(({ type }) => type !== LARGE_COMMUNITIES);
  const flags = FLAG.optional | FLAG.transitive;
  return [...others, { flags, type: LARGE_COMMUNITIES, value }];
}
