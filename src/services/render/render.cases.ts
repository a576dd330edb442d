// One service in the shapes that tests of rendering need.
import { cidr, contains } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import type { EndpointSliceObject, ServiceObject } from './objects.ts';
import type { RenderOptions } from './rules.ts';

export const OPTIONS: RenderOptions = {
  family: 4,
  place: { node: 'n1', zone: 'east' },
  clusterCidr: cidr('10.0.0.0/8'),
  masqueradeAll: false,
  mark: '0x4000',
  nodePortAddresses: undefined,
  localhostNodePorts: false,
  dropsInvalid: true,
  isLarge: false,
  nodeIp: ip('192.0.2.1'),
  inRange: contains,
};
export const VIP = '172.30.0.1';

/** Port http of shop/web. */
export const service = (spec: object, status: object = {}): ServiceObject => ({
  metadata: { name: 'web', namespace: 'shop' },
  spec: { clusterIP: VIP, ports: [{ name: 'http', protocol: 'TCP', port: 80 }], ...spec },
  status,
});

export interface At {
  readonly node?: string;
  readonly ready?: boolean;
  readonly terminating?: boolean;
  readonly zone?: string;
}

/** Endpoints 10.0.0.1, 10.0.0.2 and so on, port 8080. */
export const endpoints = (...all: readonly At[]): EndpointSliceObject => ({
  metadata: { name: 'web-1', namespace: 'shop' },
  addressType: 'IPv4',
  endpoints: all.map(({ node = 'n1', ready = true, terminating = false, zone }, i) => ({
    addresses: [`10.0.0.${i + 1}`],
    nodeName: node,
    conditions: { ready, serving: ready || terminating, terminating },
    ...(zone === undefined ? {} : { hints: { forZones: [{ name: zone }] } }),
  })),
  ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
});
