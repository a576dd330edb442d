// The control plane as plain processes in a namespace of its own: etcd, API server, controller
// manager, scheduler. Certificates and kubeconfigs come from kubeadm's phases.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command, until } from '../command.ts';
import { KUBERNETES_VERSION, toolPath } from '../tools.ts';
import { makeMachine } from './fabric.ts';
import {
  CONTROL_PLANE_ADDRESS as ADDRESS,
  inNetns,
  netnsOf,
  PKI,
  POD_CIDR,
  RUN,
  SERVICE_CIDR,
} from './layout.ts';
import type { Processes } from './processes.ts';

const CONFIG = join(RUN, 'kubeadm.yaml');
const AUDIT_POLICY = join(RUN, 'audit-policy.yaml');
/** What service accounts asked of the API server, a line of JSON each. */
export const AUDIT_LOG = join(RUN, 'audit.log');
export const KUBECONFIG = join(PKI, 'admin.conf');
const pki = (file: string): string => join(PKI, file);

const kubeadmConfig = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ${ADDRESS}, bindPort: 6443}
nodeRegistration: {name: ${netnsOf('cp')}, criSocket: unix:///run/containerd/containerd.sock}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${KUBERNETES_VERSION}
clusterName: calico-kit
certificatesDir: ${PKI}
controlPlaneEndpoint: ${ADDRESS}:6443
networking: {serviceSubnet: ${SERVICE_CIDR}, podSubnet: ${POD_CIDR}}
apiServer: {certSANs: [127.0.0.1, localhost]}
`;

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, userGroups: ['system:serviceaccounts:kube-system']}
  - {level: None}
`;

/** kubectl as an administrator, ready for arguments. */
export async function kubectlCommand(config = KUBECONFIG): Promise<readonly string[]> {
  const cache = join(RUN, 'kubectl-cache');
  const options = ['--kubeconfig', config, '--cache-dir', cache];
  return [...inNetns('cp'), await toolPath('kubectl'), ...options];
}

export async function kubectl(
  args: readonly string[],
  input?: string,
  config = KUBECONFIG,
): Promise<string> {
  return command(args, input, await kubectlCommand(config));
}

/** A kubeconfig for a user, signed by the cluster's authority. */
export async function userConfig(user: string, group?: string): Promise<string> {
  const org = group ? ['--org', group] : [];
  const kubeadm = await toolPath('kubeadm');
  const client = ['kubeconfig', 'user', '--config', CONFIG, '--client-name', user, ...org];
  return command([kubeadm, ...client], undefined, inNetns('cp'));
}

export async function startControlPlane(processes: Processes): Promise<void> {
  mkdirSync(PKI, { recursive: true });
  writeFileSync(CONFIG, kubeadmConfig);
  writeFileSync(AUDIT_POLICY, auditPolicy);
  await makeMachine('cp', ADDRESS);
  await makeCertificates();
  processes.start('etcd', [...inNetns('cp'), ...(await etcdCommand())]);
  processes.start('kube-apiserver', [...inNetns('cp'), ...(await apiServerCommand())]);
  await until('the API server is ready', 60, () =>
    kubectl(['get', '--raw', '/readyz'], undefined, pki('super-admin.conf')),
  );
  processes.start('kube-controller-manager', [
    ...inNetns('cp'),
    ...(await controllerManagerCommand()),
  ]);
  processes.start('kube-scheduler', [...inNetns('cp'), ...(await schedulerCommand())]);
  await grantRights();
  await until('the default service account', 30, () =>
    kubectl(['-n', 'default', 'get', 'sa', 'default']),
  );
}

async function makeCertificates(): Promise<void> {
  const phase = [...inNetns('cp'), await toolPath('kubeadm'), 'init', 'phase'];
  await command([...phase, 'certs', 'all', '--config', CONFIG]);
  for (const who of ['admin', 'super-admin', 'controller-manager', 'scheduler']) {
    await command([...phase, 'kubeconfig', who, '--config', CONFIG, '--kubeconfig-dir', PKI]);
  }
}

// What `kubeadm init` binds and its phases do not: the administrators' group, the API server's own
// client certificate towards kubelets, kube-proxy. Applied, since a busy server may make the client
// ask twice.
async function grantRights(): Promise<void> {
  const bindings = [
    clusterRoleBinding('kubeadm:cluster-admins', 'cluster-admin', 'Group'),
    clusterRoleBinding('kube-apiserver-kubelet-client', 'system:kubelet-api-admin', 'User'),
    clusterRoleBinding('system:kube-proxy', 'system:node-proxier', 'User'),
  ];
  const list = { apiVersion: 'v1', kind: 'List', items: bindings };
  await kubectl(['apply', '-f', '-'], JSON.stringify(list), pki('super-admin.conf'));
}

const RBAC = 'rbac.authorization.k8s.io';

const clusterRoleBinding = (who: string, role: string, kind: 'Group' | 'User'): object => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'ClusterRoleBinding',
  metadata: { name: `rig:${who}` },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
  subjects: [{ apiGroup: RBAC, kind, name: who }],
});

async function etcdCommand(): Promise<readonly string[]> {
  const client = 'https://127.0.0.1:2379';
  const peer = 'http://127.0.0.1:2380';
  return [
    await toolPath('etcd'),
    '--name',
    'cp',
    '--data-dir',
    join(RUN, 'etcd'),
    '--unsafe-no-fsync',
    '--log-level',
    'warn',
    '--listen-client-urls',
    client,
    '--advertise-client-urls',
    client,
    '--listen-peer-urls',
    peer,
    '--initial-advertise-peer-urls',
    peer,
    '--initial-cluster',
    `cp=${peer}`,
    '--client-cert-auth',
    '--cert-file',
    pki('etcd/server.crt'),
    '--key-file',
    pki('etcd/server.key'),
    '--trusted-ca-file',
    pki('etcd/ca.crt'),
  ];
}

async function apiServerCommand(): Promise<readonly string[]> {
  return [
    await toolPath('kube-apiserver'),
    '--advertise-address',
    ADDRESS,
    '--secure-port',
    '6443',
    '--allow-privileged',
    '--authorization-mode',
    'Node,RBAC',
    '--enable-admission-plugins',
    'NodeRestriction',
    '--etcd-servers',
    'https://127.0.0.1:2379',
    '--etcd-cafile',
    pki('etcd/ca.crt'),
    '--etcd-certfile',
    pki('apiserver-etcd-client.crt'),
    '--etcd-keyfile',
    pki('apiserver-etcd-client.key'),
    '--client-ca-file',
    pki('ca.crt'),
    '--tls-cert-file',
    pki('apiserver.crt'),
    '--tls-private-key-file',
    pki('apiserver.key'),
    '--kubelet-client-certificate',
    pki('apiserver-kubelet-client.crt'),
    '--kubelet-client-key',
    pki('apiserver-kubelet-client.key'),
    '--kubelet-preferred-address-types',
    'InternalIP,Hostname',
    '--service-account-issuer',
    'https://kubernetes.default.svc.cluster.local',
    '--service-account-key-file',
    pki('sa.pub'),
    '--service-account-signing-key-file',
    pki('sa.key'),
    '--service-cluster-ip-range',
    SERVICE_CIDR,
    '--audit-policy-file',
    AUDIT_POLICY,
    '--audit-log-path',
    AUDIT_LOG,
  ];
}

async function controllerManagerCommand(): Promise<readonly string[]> {
  const config = pki('controller-manager.conf');
  return [
    await toolPath('kube-controller-manager'),
    '--kubeconfig',
    config,
    '--authentication-kubeconfig',
    config,
    '--authorization-kubeconfig',
    config,
    '--client-ca-file',
    pki('ca.crt'),
    '--root-ca-file',
    pki('ca.crt'),
    '--cluster-signing-cert-file',
    pki('ca.crt'),
    '--cluster-signing-key-file',
    pki('ca.key'),
    '--service-account-private-key-file',
    pki('sa.key'),
    '--use-service-account-credentials',
    '--leader-elect=false',
    '--bind-address',
    '127.0.0.1',
    '--service-cluster-ip-range',
    SERVICE_CIDR,
  ];
}

async function schedulerCommand(): Promise<readonly string[]> {
  const config = pki('scheduler.conf');
  return [
    await toolPath('kube-scheduler'),
    '--kubeconfig',
    config,
    '--authentication-kubeconfig',
    config,
    '--authorization-kubeconfig',
    config,
    '--leader-elect=false',
    '--bind-address',
    '127.0.0.1',
  ];
}
