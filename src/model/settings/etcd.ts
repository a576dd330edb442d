// The settings of calico-etcd, and where the datastore is.
import Type from 'typebox';
import { closed, enumOf, integer, map, port, text } from './parts.ts';

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
  rotate_authority: text(
    '',
    'With generate: another text than before gives another authority, in three turns: this upgrade makes it, and calico-etcd restarts to trust both; the next one lets it sign; the one after it gives the former one up',
  ),
  rotate: text(
    '',
    'With generate: another text than before, such as a date, gives all sides new certificates of the same authority; nothing restarts',
  ),
});

const snapshots = map({
  schedule: text(
    '',
    'When a snapshot of the datastore is taken, as cron writes it, such as 30 2 * * *; empty: never',
  ),
  keep: integer(7, 1, 1000, 'How many snapshots are kept'),
  hostPath: text('/var/etcd-snapshots', 'Folder for them on the nodes of calico-etcd'),
  claim: text('', 'PersistentVolumeClaim for them, instead of the folder'),
});

const defragmentation = map({
  schedule: text(
    '',
    'When members give unused space back, one after the other, as cron writes it, such as 30 3 * * 0; empty: never',
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
    members: Type.Unsafe<number>({
      type: 'integer',
      enum: [1, 3, 5],
      default: 1,
      description:
        'Members of calico-etcd, each on a node of the control plane of its own. Raised, further nodes join',
    }),
    quotaBytes: integer(
      2147483648,
      16777216,
      8589934592,
      'Size of the datastore beyond which calico-etcd takes no more, in bytes',
    ),
    autoCompactionRetention: text(
      '1',
      'How much history calico-etcd keeps: hours, or a duration such as 30m',
    ),
    snapshots,
    defragmentation,
    restore: text(
      '',
      'File name of a snapshot to begin anew from, once; all data since then is given up. It stays here afterwards',
    ),
    tls,
  },
  closed,
);
