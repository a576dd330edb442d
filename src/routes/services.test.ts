import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '../kubernetes/api.ts';
import { cidr } from '../net/cidr.ts';
import { localFamilyOf, type ServiceRanges, serviceOfSlice, serviceRoutes } from './services.ts';

const NONE: ServiceRanges = {
  clusterIps: [],
  externalIps: [],
  loadBalancerIps: [],
  loadBalancerAggregation: true,
};

const service = (spec: Service['spec'], ingress: readonly string[] = []): Service => ({
  metadata: { name: 's', namespace: 'ns' },
  spec: { clusterIP: '10.96.0.7', ...spec },
  status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
});

const routes = (
  ranges: Partial<ServiceRanges>,
  services: readonly Service[],
  local: readonly (4 | 6)[] = [],
): readonly string[] =>
  serviceRoutes({
    ranges: { ...NONE, ...ranges },
    services,
    hasLocal: (key, family) => key === 'ns/s' && local.includes(family),
  }).toSorted();

const CLUSTER = [cidr('10.96.0.0/12')];
const EXTERNAL = [cidr('203.0.113.0/24'), cidr('198.51.100.7/32')];
const BALANCER = [cidr('192.0.2.0/24'), cidr('192.0.3.1/32')];
const LOCAL = 'Local';

const CASES: readonly {
  readonly what: string;
  readonly found: readonly string[];
  readonly wanted: readonly string[];
}[] = [
  {
    what: 'ranges are announced whole; single external and load balancer addresses are not',
    found: routes({ clusterIps: CLUSTER, externalIps: EXTERNAL, loadBalancerIps: BALANCER }, []),
    wanted: ['10.96.0.0/12', '192.0.2.0/24', '203.0.113.0/24'],
  },
  {
    what: 'policy Cluster: only single configured addresses that the service has',
    found: routes({ clusterIps: CLUSTER, externalIps: EXTERNAL, loadBalancerIps: BALANCER }, [
      service({ externalIPs: ['203.0.113.9', '198.51.100.7', '8.8.8.8'] }, ['192.0.3.1']),
    ]),
    wanted: ['10.96.0.0/12', '192.0.2.0/24', '192.0.3.1/32', '198.51.100.7/32', '203.0.113.0/24'],
  },
  {
    what: 'policy Local without a ready endpoint here: the ranges alone',
    found: routes({ clusterIps: CLUSTER, externalIps: EXTERNAL }, [
      service({ externalTrafficPolicy: LOCAL, externalIPs: ['198.51.100.7'] }),
    ]),
    wanted: ['10.96.0.0/12', '203.0.113.0/24'],
  },
  {
    what: 'policy Local with one: each address within a range',
    found: routes(
      { clusterIps: CLUSTER, externalIps: EXTERNAL, loadBalancerIps: BALANCER },
      [
        service({ externalTrafficPolicy: LOCAL, externalIPs: ['203.0.113.9', '8.8.8.8'] }, [
          '192.0.2.5',
        ]),
      ],
      [4],
    ),
    wanted: [
      '10.96.0.0/12',
      '10.96.0.7/32',
      '192.0.2.0/24',
      '192.0.2.5/32',
      '203.0.113.0/24',
      '203.0.113.9/32',
    ],
  },
  {
    what: 'no aggregation: each load balancer address by itself',
    found: routes({ loadBalancerIps: BALANCER, loadBalancerAggregation: false }, [
      service({}, ['192.0.2.5', '192.0.4.1']),
    ]),
    wanted: ['192.0.2.5/32'],
  },
  {
    what: 'dual stack: a family without a local endpoint is not announced',
    found: routes(
      { clusterIps: [...CLUSTER, cidr('fd00:96::/108')] },
      [
        service({
          externalTrafficPolicy: LOCAL,
          clusterIPs: ['10.96.0.7', 'fd00:96::7'],
        }),
      ],
      [6],
    ),
    wanted: ['10.96.0.0/12', 'fd00:96::/108', 'fd00:96::7/128'],
  },
  {
    what: 'headless and ExternalName services have no address',
    found: routes(
      { externalIps: EXTERNAL },
      [
        service({ clusterIP: 'None', externalIPs: ['198.51.100.7'] }),
        service({ type: 'ExternalName', externalIPs: ['198.51.100.7'] }),
      ],
      [4],
    ),
    wanted: ['203.0.113.0/24'],
  },
];

for (const { what, found, wanted } of CASES)
  test(`services: ${what}`, () => assert.deepEqual(found, wanted));

test('slices: whose, and whether a ready endpoint is here', () => {
  const slice = (ready: boolean | undefined, nodeName: string): EndpointSlice => ({
    metadata: { name: 's-1', namespace: 'ns', labels: { 'kubernetes.io/service-name': 's' } },
    addressType: 'IPv4',
    endpoints: [{ nodeName, ...(ready === undefined ? {} : { conditions: { ready } }) }],
  });
  assert.equal(serviceOfSlice(slice(true, 'a')), 'ns/s');
  assert.equal(serviceOfSlice({ ...slice(true, 'a'), metadata: { name: 'x' } }), undefined);
  assert.equal(localFamilyOf(slice(true, 'a'), 'a'), 4);
  assert.equal(localFamilyOf(slice(undefined, 'a'), 'a'), 4);
  assert.equal(localFamilyOf(slice(false, 'a'), 'a'), undefined);
  assert.equal(localFamilyOf(slice(true, 'b'), 'a'), undefined);
});
