// Settings of the service proxy, with which calico-node does kube-proxy's work too.
import Type from 'typebox';
import { enumOf, integer, map, port, text } from './parts.ts';

export const serviceProxy = map({
  enabled: Type.Boolean({
    default: false,
    description: 'calico-node serves Services in the place of kube-proxy',
  }),
  mode: enumOf(
    ['modern', '2018'],
    'modern',
    'Chains as kube-proxy writes them today, or as it did in 2018',
  ),
  apiServer: map({
    host: text(
      '',
      'Address or name where every node reaches the API server without a Service; its certificate must be for it',
    ),
    port: port(6443, 'TCP port of the API server there'),
  }),
  clusterCIDR: text(
    '',
    'Comma-separated prefixes of pods, one of each family: traffic to services from elsewhere is masqueraded; empty: networking.podSubnet',
  ),
  nodePortAddresses: text(
    '',
    'Comma-separated prefixes: node ports are served on addresses of nodes in them; empty: on all',
  ),
  localhostNodePorts: Type.Boolean({
    default: false,
    description:
      'Serve node ports on loopback addresses of nodes too (IPv4); sets sysctl route_localnet, behind guards',
  }),
  masqueradeAll: Type.Boolean({
    default: false,
    description: 'Masquerade all traffic to services, that of pods too',
  }),
  masqueradeBit: integer(14, 0, 15, 'Bit of the packet mark that asks for masquerading'),
  externalCIDRs: text(
    '',
    'Comma-separated prefixes that externalIPs of services may be in; empty: no externalIPs are served',
  ),
  loadBalancerCIDRs: text(
    '',
    'Comma-separated prefixes that load balancers’ addresses may be in; empty: in any, but never addresses of nodes, pods or other services',
  ),
  healthAddress: text(
    '127.0.0.1',
    'Address of nodes where port 10256 tells whether they serve Services, as kube-proxy does; 0.0.0.0 for load balancers that ask; empty: none',
  ),
  takeOver: Type.Boolean({
    default: false,
    description: 'Write even while a kube-proxy runs, until it is removed',
  }),
});
