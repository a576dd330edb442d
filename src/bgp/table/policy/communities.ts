// Communities in path attributes: well-known ones (IANA's registry; RFC 1997, RFC 8326, RFC 9494),
// and large ones (RFC 8092).
import { type Community, largeInOrder } from '../../../net/community.ts';
import type { PathAttributes } from '../../codec/attributes.ts';

export const NO_EXPORT = 0xffffff01;
export const NO_ADVERTISE = 0xffffff02;
export const NO_EXPORT_SUBCONFED = 0xffffff03;
export const GRACEFUL_SHUTDOWN = 0xffff0000;
export const LLGR_STALE = 0xffff0006;
export const NO_LLGR = 0xffff0007;

export function hasCommunity(attributes: PathAttributes, community: Community): boolean {
  if (community.kind === 'standard')
    return attributes.communities?.includes(community.value) ?? false;
  const text = community.value.join(':');
  return attributes.largeCommunities?.some((value) => value.join(':') === text) ?? false;
}

/** The attributes with these communities too; each stands there once. */
export function withCommunities(
  attributes: PathAttributes,
  more: readonly Community[],
): PathAttributes {
  const fresh = more.filter((community) => !hasCommunity(attributes, community));
  const values = [...new Set(fresh.flatMap((c) => (c.kind === 'standard' ? [c.value] : [])))];
  const large = fresh.flatMap((c) => (c.kind === 'large' ? [c.value] : []));
  return {
    ...attributes,
    ...(values.length > 0 ? { communities: [...(attributes.communities ?? []), ...values] } : {}),
    ...(large.length > 0
      ? { largeCommunities: largeInOrder([...(attributes.largeCommunities ?? []), ...large]) }
      : {}),
  };
}

export const standard = (value: number): Community => ({ kind: 'standard', value });
