// What holds for every pod of the chart, those of hooks and of the clock among them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../base/json.ts';
import { settingsFrom } from '../model/settings/settings.ts';
import { allManifests, type Manifest } from './manifests.ts';

interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly resources?: Json;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly privileged?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
}
interface SecretRule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}
interface Pod {
  readonly metadata: { readonly labels: object; readonly annotations?: object };
  readonly spec: {
    readonly affinity?: Json;
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly priorityClassName?: string;
    readonly imagePullSecrets?: Json;
    readonly securityContext: { readonly seccompProfile?: Json };
  };
}

/** With all that makes pods switched on. */
const ON = {
  etcd: {
    members: 3,
    tls: { mode: 'generate' },
    snapshots: { schedule: '@daily' },
    defragmentation: { schedule: '@daily' },
  },
  uninstall: { removeDatastore: true },
};

function podsOf(user: Json): readonly (readonly [name: string, Pod])[] {
  const settings = settingsFrom(user);
  assert.ok(settings.ok, settings.ok ? '' : settings.error.join('\n'));
  return allManifests(settings.value).flatMap((object) => {
    const pod = podOf(object);
    return pod ? [[`${object.kind} ${object.metadata.name}`, pod] as const] : [];
  });
}

function podOf(object: Manifest): Pod | undefined {
  if (object.kind === 'Pod') return object as unknown as Pod;
  const spec = object['spec'] as { template?: Pod; jobTemplate?: { spec: { template: Pod } } };
  return spec?.template ?? spec?.jobTemplate?.spec.template;
}

const containersOf = ({ spec }: Pod) => [...(spec.initContainers ?? []), ...spec.containers];

test('every pod is looked at', () => {
  assert.deepEqual(
    podsOf(ON)
      .map(([name]) => name)
      .toSorted(),
    [
      'CronJob calico-etcd-defragmentation',
      'CronJob calico-etcd-snapshot',
      'DaemonSet calico-etcd',
      'DaemonSet calico-node',
      'DaemonSet calico-node-cleanup',
      'Deployment calico-kube-controllers',
      'Job calico-etcd-certificates',
      'Job calico-node-cleanup',
      'Job calico-pools-check',
      'Pod calico-connectivity-test',
    ],
  );
});

test('what a user adds to pods reaches each of them, and each of their containers', () => {
  const more = {
    resources: { requests: { cpu: '10m' }, limits: { memory: '1Gi' } },
    labels: { team: 'net' },
    annotations: { 'example.com/cost': '7' },
    priority_class: 'ours',
    extra_env: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example:3128' }],
  };
  const user = {
    ...ON,
    pod: { calico_node: more, kube_controllers: more, etcd: more },
    images: { pull_secrets: ['registry'] },
  };
  for (const [name, { metadata, spec }] of podsOf(user)) {
    assert.equal(Object.entries(metadata.labels).flat().join().includes('team,net'), true, name);
    assert.ok(
      Object.entries(metadata.annotations ?? {})
        .flat()
        .includes('7'),
      name,
    );
    assert.equal(spec.priorityClassName, 'ours', name);
    assert.deepEqual(spec.imagePullSecrets, [{ name: 'registry' }], name);
    for (const one of [...(spec.initContainers ?? []), ...spec.containers]) {
      assert.deepEqual(one.resources, more.resources, `${name} ${one.name}`);
      assert.deepEqual(one.env?.at(-1), more.extra_env[0], `${name} ${one.name}`);
    }
  }
});

test('the connectivity test is given pull secrets and the right to copy them; without any it has neither', () => {
  const secretRules = (user: Json) => {
    const settings = settingsFrom(user);
    assert.ok(settings.ok);
    return allManifests(settings.value)
      .filter(({ kind, metadata }) => kind === 'Role' && /connectivity/.test(metadata.name))
      .flatMap((role) => role['rules'] as unknown as readonly SecretRule[])
      .filter(({ resources }) => resources.includes('secrets'))
      .map(({ verbs, resourceNames }) => ({ verbs, resourceNames }));
  };
  const command = (user: Json) => {
    const [, pod] = podsOf(user).find(([name]) => name === 'Pod calico-connectivity-test')!;
    return pod.spec.containers[0]!.command;
  };
  const user = { images: { pull_secrets: ['one', 'two'] } };
  assert.deepEqual(command(user)!.slice(-3), ['--pull-secret', 'one', 'two']);
  const resourceNames = ['one', 'two'];
  assert.deepEqual(secretRules(user), [
    { verbs: ['delete', 'get'], resourceNames },
    { verbs: ['create'], resourceNames: undefined },
    { verbs: ['get'], resourceNames },
  ]);
  assert.deepEqual([command({})!.includes('--pull-secret'), secretRules({})], [false, []]);
});

test('every container has the least rights, those of hooks and of the clock too', () => {
  const most = ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'NET_BIND_SERVICE'];
  for (const [name, pod] of podsOf(ON)) {
    assert.deepEqual(pod.spec.securityContext.seccompProfile, { type: 'RuntimeDefault' }, name);
    for (const { name: container, securityContext: own } of containersOf(pod)) {
      const where = `${name} ${container}`;
      assert.equal(own.privileged, undefined, where);
      assert.equal(own.readOnlyRootFilesystem, true, where);
      assert.equal(own.allowPrivilegeEscalation, false, where);
      assert.deepEqual(own.capabilities.drop, ['ALL'], where);
      assert.ok((own.capabilities.add ?? []).every((capability) => most.includes(capability)));
    }
  }
});

test('calico-etcd runs on the control plane, or where a user says', () => {
  const affinityOf = (user: Json) =>
    JSON.stringify(
      podsOf(user)
        .filter(([name]) => /calico-etcd$|CronJob/.test(name))
        .map(([, { spec }]) => spec.affinity),
    );
  assert.equal(affinityOf(ON).split('node-role.kubernetes.io/control-plane').length - 1, 3);
  const nodeAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [] };
  const elsewhere = { ...ON, pod: { etcd: { affinity: { nodeAffinity } } } };
  assert.equal(affinityOf(elsewhere), JSON.stringify(Array(3).fill({ nodeAffinity })));
});
