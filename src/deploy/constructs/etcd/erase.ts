// What takes calico-etcd's data away on uninstall, where that is asked for: the data on each node, the
// record of its members, and its certificates. Snapshots stay.
import type { Of } from '../../helm/expr.ts';
import { when } from '../../helm/functions.ts';
import {
  type Container,
  dropAll,
  hostPath,
  NAMESPACE,
  type Volume,
  withMore,
} from '../manifest.ts';
import type { Settings } from '../settings.ts';
import { DATA_DIR } from './join.ts';

const SECRETS = ['calico-etcd-ca', 'calico-etcd-server', 'calico-etcd-client'];
const RECORD = 'calico-etcd-members';

/** The init container that erases a node's data; with it its volume. */
export const erasing = (
  settings: Settings,
  image: Pick<Container, 'image' | 'imagePullPolicy' | 'resources'>,
): { readonly container: Of<Container> | undefined; readonly volume: Of<Volume> | undefined } => ({
  container: when<Container>(settings.uninstall.removeDatastore, {
    name: 'erase-datastore',
    ...image,
    command: [
      ...['/usr/local/bin/node', '/opt/calico/cli.mjs', 'etcd', 'erase'],
      ...['--data-dir', `${DATA_DIR}/calico-data`],
    ],
    env: withMore([], settings.pod.calico_node),
    securityContext: dropAll(),
    volumeMounts: [{ name: 'datastore', mountPath: DATA_DIR }],
  }),
  volume: when<Volume>(
    settings.uninstall.removeDatastore,
    hostPath('datastore', DATA_DIR, 'DirectoryOrCreate'),
  ),
});

const core = (resource: string, name: string) =>
  `/api/v1/namespaces/${NAMESPACE}/${resource}/${name}`;

/** What was made in the cluster beside the release, by path on the API server. */
export const ERASED_PATHS: readonly string[] = [
  core('configmaps', RECORD),
  ...SECRETS.map((name) => core('secrets', name)),
];

/** Rules for who deletes that. */
export const eraseRules = [
  { apiGroups: [''], resources: ['configmaps'], resourceNames: [RECORD], verbs: ['delete'] },
  { apiGroups: [''], resources: ['secrets'], resourceNames: SECRETS, verbs: ['delete'] },
];
