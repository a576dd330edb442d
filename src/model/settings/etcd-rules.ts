// What the settings of calico-etcd must be beyond their types.
import { pattern } from './pattern.ts';
import type { Rule } from './rules.ts';

const KUBERNETES_NAME = '[a-z0-9]([-a-z0-9.]*[a-z0-9])?';

const schedule = (path: string, example: string) =>
  pattern(
    path,
    '^(|@(hourly|daily|weekly|monthly|yearly)|[^ \\t\\r\\n]+( [^ \\t\\r\\n]+){4})$',
    'a schedule of cron (minute, hour, day, month, weekday)',
    example,
  );

export const etcdRules: readonly Rule[] = [
  {
    kind: 'patternIf',
    path: ['etcd', 'tls', 'mode'],
    given: ['etcd', 'tls', 'secret'],
    pattern: '^secret$',
    message: 'makes certificates, but etcd.tls.secret names some; leave one of both out',
  },
  {
    kind: 'patternIf',
    path: ['etcd', 'tls', 'mode'],
    given: ['etcd', 'endpoints'],
    pattern: '^secret$',
    message:
      'makes certificates for calico-etcd alone, but etcd.endpoints names an etcd of yours; put its certificates into a Secret and name it in etcd.tls.secret',
  },
  pattern(
    'etcd.autoCompactionRetention',
    '^[1-9][0-9]{0,8}(h|m|s)?$',
    'a number of hours or a duration',
    '1 or 30m',
  ),
  schedule('etcd.snapshots.schedule', '30 2 * * *'),
  schedule('etcd.defragmentation.schedule', '30 3 * * 0'),
  pattern(
    'etcd.snapshots.hostPath',
    '^(/[a-zA-Z0-9._-]+)+$',
    'a folder by its whole path',
    '/var/etcd-snapshots',
  ),
  pattern('etcd.snapshots.claim', `^(${KUBERNETES_NAME})?$`, 'the name of a claim', 'backups'),
  pattern(
    'etcd.restore',
    '^([a-zA-Z0-9_-][a-zA-Z0-9._-]*)?$',
    'the file name of a snapshot',
    'calico-etcd-20270131T023000Z.db',
  ),
  pattern(
    'etcd.tls.secret',
    `^(${KUBERNETES_NAME})?$`,
    'the name of a Secret',
    'calico-etcd-certificates',
  ),
];
