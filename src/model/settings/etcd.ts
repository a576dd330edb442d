// The settings of calico-etcd, and where the datastore is.
import Type from 'typebox';
import { closed, enumOf, map, port, text } from './parts.ts';

const tls = map({
  mode: enumOf(
    ['secret', 'generate'],
    'secret',
    'Where certificates come from: the Secret named below, or generate: a Job makes an authority and certificates for calico-etcd before installation and upgrade, and makes them anew in time',
  ),
  secret: text(
    '',
    'Secret with ca.crt, tls.crt and tls.key: certificates of all sides, for calico-etcd as for yours; empty: no TLS, or no client certificate',
  ),
  rotate: text(
    '',
    'With generate: another text than before, such as a date, gives all sides new certificates of the same authority; nothing restarts',
  ),
});

export const etcd = Type.Object(
  {
    enabled: Type.Boolean({ default: true, description: 'Run calico-etcd in the cluster' }),
    endpoints: text('', 'Comma-separated URLs of an etcd of your own; empty for calico-etcd'),
    clusterIP: text(
      '10.96.232.136',
      'Fixed address of Service calico-etcd, inside the service network of the cluster',
    ),
    port: port(6666, 'Client port of calico-etcd'),
    peerPort: port(6667, 'Peer port of calico-etcd'),
    healthPort: port(6668, 'Port on loopback where calico-etcd answers its probes'),
    tls,
  },
  closed,
);
