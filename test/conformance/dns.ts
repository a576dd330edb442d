// Cluster DNS, which some Service specs ask: CoreDNS from its Go module, one replica.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeImageArchive } from '../../images/oci-archive.ts';
import { emptyRoot, install } from '../../images/rootfs.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { locked } from '../cluster/lock.ts';
import { DNS_ADDRESS } from '../cluster/netns/layout.ts';
import type { Progress } from '../cluster/progress.ts';
import { CACHE, toolPath } from '../cluster/tools.ts';

const IMAGE = 'docker.io/calico-kit/coredns:test';
const NAMESPACE = 'kube-system';
const LABELS = { 'k8s-app': 'kube-dns' };

const COREFILE = `.:53 {
  errors
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    ttl 5
  }
  cache 5
}
`;

const role = 'system:coredns';
const RBAC = 'rbac.authorization.k8s.io';
const metadata = (name: string, labels: object = {}): object => ({
  name,
  namespace: NAMESPACE,
  labels,
});
const read = (apiGroup: string, ...resources: string[]): object => ({
  apiGroups: [apiGroup],
  resources,
  verbs: ['list', 'watch'],
});

const RIGHTS: readonly object[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata('coredns') },
  {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name: role },
    rules: [read('', 'services', 'pods', 'namespaces'), read('discovery.k8s.io', 'endpointslices')],
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: role },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'coredns', namespace: NAMESPACE }],
  },
];

const POD = {
  serviceAccountName: 'coredns',
  dnsPolicy: 'Default',
  terminationGracePeriodSeconds: 1,
  containers: [
    {
      name: 'coredns',
      image: IMAGE,
      args: ['-conf', '/etc/coredns/Corefile'],
      volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
      readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
    },
  ],
  volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
};

const OBJECTS: readonly object[] = [
  ...RIGHTS,
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata('coredns'),
    data: { Corefile: COREFILE },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata('coredns', LABELS),
    spec: {
      selector: { matchLabels: LABELS },
      template: { metadata: { labels: LABELS }, spec: POD },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('kube-dns', LABELS),
    spec: {
      selector: LABELS,
      clusterIP: DNS_ADDRESS,
      ports: ['UDP', 'TCP'].map((protocol) => ({
        name: `dns-${protocol.toLowerCase()}`,
        port: 53,
        protocol,
      })),
    },
  },
];

async function buildImage(): Promise<string> {
  const coredns = await toolPath('coredns');
  const folder = join(CACHE, 'images');
  mkdirSync(folder, { recursive: true });
  const [out, stamp] = [join(folder, 'coredns.tar'), join(folder, '.coredns.inputs')];
  const { size, mtimeMs } = statSync(coredns);
  const inputs = createHash('sha256').update(`${IMAGE} ${size} ${mtimeMs}`).digest('hex');
  await locked(join(folder, '.lock'), async () => {
    if (existsSync(out) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
    const rootfs = join(CACHE, 'rootfs/coredns');
    emptyRoot(rootfs);
    install(rootfs, coredns, '/coredns');
    writeImageArchive({ out, rootfs, config: { Entrypoint: ['/coredns'] }, names: [IMAGE] });
    writeFileSync(stamp, inputs);
  });
  return out;
}

/** Installs cluster DNS and waits until it answers; fine when it is there. */
export async function installDns(cluster: Cluster, progress: Progress): Promise<void> {
  const archive = await progress.step('CoreDNS', buildImage);
  await cluster.loadImages([archive]);
  const list = { apiVersion: 'v1', kind: 'List', items: OBJECTS };
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(list));
  const rollout = ['rollout', 'status', 'deployment/coredns', '--timeout=60s'];
  await progress.step('cluster DNS', () => cluster.kubectl(['-n', NAMESPACE, ...rollout]));
}
