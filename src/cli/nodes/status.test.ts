import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MTU_ANNOTATION, printNodeMtu } from '../../model/node.ts';
import { API_VERSION } from '../../model/resource.ts';
import { clusterStatus } from './status.ts';

const item = (name: string, spec: object, annotations?: object) => ({
  key: `/calico/resources/v3/projectcalico.org/nodes/${name}`,
  value: JSON.stringify({
    kind: 'Node',
    apiVersion: API_VERSION,
    metadata: { name, ...(annotations && { annotations }) },
    spec,
  }),
  revision: 1n,
});

test('every node with its MTUs; what does not fit stands below', () => {
  const mtu = (text: string) => ({ [MTU_ANNOTATION]: text });
  const fits = printNodeMtu({ host: 1500, interface: 'eth0', pods: 1480 });
  const problem = 'pods are meant to get an MTU of 1480, but eth1 carries 1400';
  const small = printNodeMtu({ host: 1400, interface: 'eth1', pods: 1380, problem });
  const bgp = { ipv4Address: '10.0.0.1/24', ipv4IPIPTunnelAddr: '192.168.1.1' };
  const { lines, failed } = clusterStatus([
    item('n1', { bgp }, mtu(fits)),
    item(
      'n2',
      { bgp: { ipv4Address: '10.0.0.2/24' }, ipv6VXLANTunnelAddr: 'fd00::1:1' },
      mtu(small),
    ),
    item('n3', {}, mtu('{"host":"large"')),
    { key: 'x', value: 'no JSON', revision: 1n },
  ]);
  assert.deepEqual(lines, [
    '+------+-------------+-------------+-----------+----------+---------+',
    '| NODE | ADDRESS     | TUNNEL      | INTERFACE | HOST MTU | POD MTU |',
    '+------+-------------+-------------+-----------+----------+---------+',
    '| n1   | 10.0.0.1/24 | 192.168.1.1 | eth0      |     1500 |    1480 |',
    '| n2   | 10.0.0.2/24 | fd00::1:1   | eth1      |     1400 |    1380 |',
    '| n3   |             |             |           |          |         |',
    '+------+-------------+-------------+-----------+----------+---------+',
    `n2: ${problem}`,
  ]);
  assert.equal(failed, undefined);
});

test('no node: said so', () => {
  assert.deepEqual(clusterStatus([]).lines, ['No node has written its record yet.']);
});
