import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommunity } from '../../../net/community.ts';
import { withCommunities } from './communities.ts';

test('a community that several prefixAdvertisements ask for stands there once', () => {
  const [one, large] = ['64512:1', '64512:1:2'].map((text) => parseCommunity(text)!) as [
    never,
    never,
  ];
  const bare = { origin: 'igp', asPath: [] } as const;
  assert.deepEqual(withCommunities(bare, [one, large, one, large]), {
    ...bare,
    communities: [0xfc000001],
    largeCommunities: [[64512, 1, 2]],
  });
});
