import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCounts } from '../../kernel/iptables/counts.ts';
import { listServices, servedAddresses } from './listing.ts';

const NAT = `*nat
:KUBE-SERVICES - [0:0]
[7:420] -A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-DNS
[2:120] -A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
[9:9] -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
[3:180] -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-WEB
[3:180] -A KUBE-EXT-WEB -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
[3:180] -A KUBE-EXT-WEB -j KUBE-SVC-WEB
[4:240] -A KUBE-SVC-WEB -m comment --comment "shop/web -> 10.1.0.1:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A
[1:60] -A KUBE-SVC-WEB -m comment --comment "shop/web -> 10.1.0.2:8080" -j KUBE-SEP-B
[0:0] -A KUBE-SEP-A -s 10.1.0.1/32 -m comment --comment "shop/web" -j KUBE-MARK-MASQ
[4:240] -A KUBE-SEP-A -p tcp -m comment --comment "shop/web" -m tcp -j DNAT --to-destination 10.1.0.1:8080
[1:60] -A KUBE-SEP-B -p tcp -m comment --comment "shop/web" -m tcp -j DNAT --to-destination 10.1.0.2:8080
COMMIT
`;
const FILTER = `*filter
[5:300] -A KUBE-SERVICES -d 10.96.0.30/32 -p tcp -m comment --comment "shop/idle has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
COMMIT
`;
const tables = { nat: parseCounts(NAT, 'nat'), filter: parseCounts(FILTER, 'filter') };

test('services by name, each with its addresses, endpoints and connections', () => {
  const all = servedAddresses([tables]);
  assert.deepEqual(
    all.map((one) => [one.service, one.kind, one.address, one.chain ?? one.problem, one.packets]),
    [
      ['kube-system/kube-dns:dns', 'cluster IP', '10.96.0.10:53', 'KUBE-SVC-DNS', 7],
      ['shop/idle', 'address', '10.96.0.30:80', 'has no endpoints', 5],
      ['shop/web', 'cluster IP', '10.96.0.20:80', 'KUBE-SVC-WEB', 2],
      ['shop/web', 'node port', '*:30080', 'KUBE-EXT-WEB', 3],
    ],
  );
  const endpoints = [
    { chain: 'KUBE-SEP-A', address: '10.1.0.1:8080', packets: 4 },
    { chain: 'KUBE-SEP-B', address: '10.1.0.2:8080', packets: 1 },
  ];
  assert.deepEqual(all[2]!.endpoints, endpoints);
  assert.deepEqual(all[3]!.endpoints, endpoints);
});

test('one service with its endpoints; one that is not there is a failure', () => {
  const { lines } = listServices(servedAddresses([tables]), 'shop/web');
  assert.equal(lines.filter((line) => line.includes('shop/web')).length, 2);
  assert.ok(lines.includes('| 10.1.0.1:8080 | KUBE-SEP-A |           4 |'));
  assert.equal(listServices(servedAddresses([tables]), 'shop/none').failed, true);
});
