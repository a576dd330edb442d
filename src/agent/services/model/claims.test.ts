import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr } from '../../../net/cidr.ts';
import type { ServiceObject } from '../../../services/render/objects.ts';
import { Claims } from './claims.ts';

const service = (
  clusterIP: string,
  externalIPs: readonly string[] = [],
  lb: readonly string[] = [],
) =>
  ({
    metadata: { name: 'x' },
    spec: { clusterIP, clusterIPs: [clusterIP], externalIPs },
    status: { loadBalancer: { ingress: lb.map((ip) => ({ ip })) } },
  }) satisfies ServiceObject;

const claims = () =>
  new Claims({
    externalCidrs: [cidr('198.51.100.0/24'), cidr('10.0.0.0/8')],
    loadBalancerCidrs: [],
    clusterCidrs: [cidr('10.1.0.0/16')],
  });

test('external addresses are those of the ranges; pods’ and other services’ addresses are nobody’s claim', () => {
  const all = claims();
  all.replace('a/victim', undefined, service('10.96.0.1'));
  const asked = service(
    '10.96.0.2',
    ['198.51.100.1', '203.0.113.1', '10.1.0.7', '10.96.0.1', '10.96.0.2'],
    ['203.0.113.9', '10.1.0.8', '10.96.0.1'],
  );
  all.replace('a/b', undefined, asked);
  const { service: granted, refused } = all.granted('a/b', asked);
  assert.deepEqual(granted.spec?.externalIPs, ['198.51.100.1', '10.96.0.2']);
  assert.deepEqual(granted.status?.loadBalancer?.ingress, [{ ip: '203.0.113.9' }]);
  assert.deepEqual(refused, [
    'external address 203.0.113.1 is in no range of serviceProxy.externalCIDRs',
    'external address 10.1.0.7 is of the pods’ range',
    'external address 10.96.0.1 is the cluster IP of a/victim',
    'load balancer’s address 10.1.0.8 is of the pods’ range',
    'load balancer’s address 10.96.0.1 is the cluster IP of a/victim',
  ]);
});

test('who claims an address first has no right to it: it is decided anew when its owner comes or goes', () => {
  const all = claims();
  const claiming = service('10.96.0.2', ['10.96.0.1']);
  const owner = service('10.96.0.1');
  const granted = () => all.granted('a/early', claiming).service.spec?.externalIPs;
  assert.deepEqual(all.replace('a/early', undefined, claiming), []);
  assert.deepEqual(granted(), ['10.96.0.1']);
  assert.deepEqual(all.replace('a/owner', undefined, owner), ['a/early']);
  assert.deepEqual(granted(), []);
  assert.deepEqual(all.replace('a/owner', owner, undefined), ['a/early']);
  assert.deepEqual(granted(), ['10.96.0.1']);
});
