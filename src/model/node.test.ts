import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeAddress } from './node.ts';

test('a node’s address: with its subnet, or alone as a host; nothing of the other family', () => {
  const bgp = { ipv4Address: '10.0.0.1/24', ipv6Address: 'fd00::1' };
  assert.deepEqual(nodeAddress({ bgp }, 4), { ip: '10.0.0.1', prefixLength: 24 });
  assert.deepEqual(nodeAddress({ bgp }, 6), { ip: 'fd00::1', prefixLength: 128 });
  const bare = { ipv4Address: '10.0.0.1' };
  assert.deepEqual(nodeAddress({ bgp: bare }, 4), { ip: '10.0.0.1', prefixLength: 32 });
  for (const ipv4Address of ['', 'fd00::1/64', 'fd00::1', '10.0.0.1/33', 'x'])
    assert.equal(nodeAddress({ bgp: { ipv4Address } }, 4), undefined, ipv4Address);
  assert.equal(nodeAddress({}, 6), undefined);
});
