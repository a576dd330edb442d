import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../base/json.ts';
import { defaults, settingsFrom } from '../model/settings/settings.ts';
import { effectiveMtu } from './constructs/settings.ts';
import { allManifests, type Manifest, manifests } from './manifests.ts';
import { risksOf } from './risks.ts';
import { goodValues, RUNS } from './values.cases.ts';

function settingsOf(user: Json) {
  const result = settingsFrom(user);
  assert.ok(result.ok, result.ok ? '' : result.error.join('\n'));
  return result.value;
}

const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((o) => o.kind === kind && o.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
};
const configOf = (user: Json) =>
  find(manifests(settingsOf(user)), 'ConfigMap', 'calico-etc')['data'] as Record<string, string>;

interface ContainerShape {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly livenessProbe?: { readonly httpGet: { readonly host: string } };
}
interface SafePod {
  readonly hostNetwork: boolean;
  readonly securityContext?: { readonly seccompProfile?: object };
  readonly containers: readonly SafeContainer[];
  readonly initContainers?: readonly SafeContainer[];
}
interface SafeContainer extends ContainerShape {
  readonly image: string;
  readonly securityContext: {
    readonly readOnlyRootFilesystem?: boolean;
    readonly runAsNonRoot?: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
}
/** The pod of a workload, or the object where it is one. */
const podSpecOf = (object: Manifest): SafePod | undefined =>
  (object.kind === 'Pod' ? object['spec'] : podOf(object)) as SafePod | undefined;

interface PodShape {
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly ContainerShape[];
  readonly initContainers?: readonly ContainerShape[];
}
const podOf = (o: Manifest) =>
  (o['spec'] as { template?: { spec: Json } } | undefined)?.template?.spec as PodShape | undefined;
const containersOf = (objects: readonly Manifest[]) =>
  objects.flatMap((o) => [...(podOf(o)?.initContainers ?? []), ...(podOf(o)?.containers ?? [])]);

test('the effective MTU leaves room for the outer header', () => {
  for (const [mode, mtu] of [
    ['Always', 1480],
    ['CrossSubnet', 1480],
    ['Never', 1500],
  ] as const) {
    const user = { networking: { settings: { ippool: { ipip: { mode } } } } };
    assert.equal(effectiveMtu(settingsOf(user)), mtu);
    assert.equal(configOf(user)['cni_mtu'], String(mtu));
  }
  const further = (pool: object, mode = 'Never'): number => {
    const pools = [
      { name: 'plain', cidr: '10.1.0.0/16' },
      { name: 'further', ...pool },
    ];
    const user = { networking: { pools, settings: { ippool: { ipip: { mode } } } } };
    return effectiveMtu(settingsOf(user as unknown as Json)) as number;
  };
  const nodeSelector = "rack in {'a', 'b'}";
  assert.equal(further({ cidr: '10.9.0.0/16', ipipMode: 'CrossSubnet' }), 1480);
  assert.equal(further({ cidr: '10.9.0.0/16', vxlanMode: 'Always', nodeSelector }), 1450);
  assert.equal(further({ cidr: 'fd00::/64', vxlanMode: 'CrossSubnet' }), 1430);
  assert.equal(further({ cidr: '10.9.0.0/16', vxlanMode: 'Never', ipipMode: 'Never' }), 1500);
  assert.equal(further({ cidr: '10.9.0.0/16', vxlanMode: 'Always' }, 'Always'), 1450);
});

test('agents find the datastore at the Service, or where the user says', () => {
  assert.equal(configOf({})['etcd_endpoints'], 'http://10.96.232.136:6666');
  const own = 'http://10.0.2.6:2379';
  assert.equal(configOf({ etcd: { endpoints: own } })['etcd_endpoints'], own);
  assert.equal(configOf({ etcd: { port: 7000 } })['etcd_endpoints'], 'http://10.96.232.136:7000');
});

test('with a Secret every connection to the datastore is mutual TLS', () => {
  const objects = manifests(settingsOf({ etcd: { tls: { secret: 'pki' } } }));
  const config = find(objects, 'ConfigMap', 'calico-etc')['data'] as Record<string, string>;
  assert.equal(config['etcd_endpoints'], 'https://10.96.232.136:6666');
  for (const [kind, name, container] of [
    ['DaemonSet', 'calico-node', 'calico-node'],
    ['DaemonSet', 'calico-node', 'bgp'],
    ['Deployment', 'calico-kube-controllers', 'calico-kube-controllers'],
  ] as const) {
    const { env = [] } = podOf(find(objects, kind, name))!.containers.find(
      (one) => one.name === container,
    )!;
    const files = env.filter(({ name: variable }) => variable.startsWith('ETCD_C')).length;
    assert.equal(files, 2, container);
    assert.ok(env.some(({ name: variable }) => variable === 'ETCD_KEY_FILE'));
  }
  const member = JSON.stringify(find(objects, 'DaemonSet', 'calico-etcd'));
  for (const flag of ['--client-cert-auth', '--peer-client-cert-auth', '--cert-file=', '"pki"'])
    assert.ok(member.includes(flag), flag);
  assert.doesNotMatch(member, /listen-client-urls=http:/);
});

test('certificates that the chart makes: each side its own, the key of the authority in no pod', () => {
  const objects = allManifests(settingsOf({ etcd: { tls: { mode: 'generate', rotate: '2' } } }));
  const config = find(objects, 'ConfigMap', 'calico-etc')['data'] as Record<string, string>;
  assert.equal(config['etcd_endpoints'], 'https://10.96.232.136:6666');
  const textOf = (kind: string, name: string) => JSON.stringify(find(objects, kind, name));
  assert.match(textOf('DaemonSet', 'calico-etcd'), /"secretName":"calico-etcd-server"/);
  for (const text of [
    textOf('DaemonSet', 'calico-node'),
    textOf('Deployment', 'calico-kube-controllers'),
  ])
    assert.match(text, /"secretName":"calico-etcd-client"/);
  const job = textOf('Job', 'calico-etcd-certificates');
  assert.match(job, /"helm.sh\/hook":"pre-install,pre-upgrade,pre-rollback"/);
  assert.match(job, /"--address","10.96.232.136".*"--rotation=2"/);
  const pods = objects.filter((object) => podOf(object)).map((object) => JSON.stringify(object));
  assert.equal(pods.join().includes('calico-etcd-ca'), false);
  const { rules } = find(objects, 'Role', 'calico-etcd-certificates') as unknown as {
    rules: readonly { resources: readonly string[]; verbs: readonly string[] }[];
  };
  assert.deepEqual(
    rules.map(({ resources, verbs }) => `${verbs} ${resources}`),
    ['create secrets', 'get,update secrets', 'list pods'],
  );
});

const argumentsOf = (user: Json): readonly string[] => {
  const pod = podOf(find(manifests(settingsOf(user)), 'DaemonSet', 'calico-etcd'));
  return (pod as unknown as { containers: { command: string[] }[] }).containers[0]?.command ?? [];
};

test('the one member of calico-etcd is that of the slides; several have the names of their nodes', () => {
  const one = argumentsOf({});
  assert.ok(one.includes('--name=calico'));
  assert.ok(one.includes('--initial-cluster=calico=http://$(CALICO_ETCD_IP):6667'));
  assert.ok(one.includes('--auto-compaction-retention=1'));
  assert.ok(argumentsOf({ etcd: { members: 3 } }).includes('--name=$(CALICO_ETCD_NODE)'));
});

test('several members: a majority survives evictions and updates, but for a restore all end', () => {
  const objects = (etcd: Json) => manifests(settingsOf({ etcd }));
  const unavailable = (etcd: Json): string =>
    JSON.stringify(find(objects(etcd), 'DaemonSet', 'calico-etcd')['spec']);
  for (const [members, least] of [
    [3, 2],
    [5, 3],
  ] as const) {
    const budget = find(objects({ members }), 'PodDisruptionBudget', 'calico-etcd');
    assert.equal((budget['spec'] as { minAvailable: number }).minAvailable, least);
    assert.match(unavailable({ members }), /"maxUnavailable":1/);
  }
  assert.match(unavailable({ members: 3, restore: 'a.db' }), /"maxUnavailable":"100%"/);
  assert.equal(
    objects({}).some(
      ({ kind, metadata }) => `${kind} ${metadata.name}` === 'PodDisruptionBudget calico-etcd',
    ),
    false,
  );
});

test('the token of calico-etcd is for its init container alone, and may little', () => {
  const objects = manifests(settingsOf({ etcd: { members: 3 } }));
  const pod = podOf(find(objects, 'DaemonSet', 'calico-etcd'));
  const mounts = (containers: unknown): boolean => JSON.stringify(containers).includes('"account"');
  assert.deepEqual([mounts(pod?.initContainers), mounts(pod?.containers)], [true, false]);
  const rules = JSON.stringify(find(objects, 'Role', 'calico-etcd')['rules']);
  assert.doesNotMatch(rules, /secrets|delete|watch/);
});

test('snapshots and defragmentation run where they are asked for, with the datastore they need', () => {
  const none = manifests(settingsOf({})).filter(({ kind }) => kind === 'CronJob');
  assert.deepEqual(none, []);
  const etcd = {
    snapshots: { schedule: '@daily', keep: 3, claim: 'backups' },
    defragmentation: { schedule: '@weekly' },
    tls: { mode: 'generate' },
  };
  const jobs = manifests(settingsOf({ etcd })).filter(({ kind }) => kind === 'CronJob');
  const [snapshot, defragmentation] = jobs.map((job) => JSON.stringify(job));
  assert.match(snapshot ?? '', /"snapshot","--dir","\/var\/etcd-snapshots","--keep","3"/);
  assert.match(snapshot ?? '', /"claimName":"backups"/);
  for (const job of [snapshot, defragmentation]) assert.match(job ?? '', /calico-etcd-client/);
});

test('an uninstall erases the datastore only where that is asked for', () => {
  const texts = (user: Json): string => JSON.stringify(allManifests(settingsOf(user)));
  assert.doesNotMatch(texts({}), /"erase"/);
  const erased = texts({ uninstall: { removeDatastore: true } });
  assert.match(erased, /"etcd","erase","--data-dir","\/var\/etcd\/calico-data"/);
  assert.match(erased, /configmaps\/calico-etcd-members/);
});

test('without etcd in the cluster there is no object of it', () => {
  const own = { etcd: { enabled: false, endpoints: 'http://10.0.2.6:2379' } };
  const names = manifests(settingsOf(own)).map((o) => o.metadata.name);
  assert.equal(names.includes('calico-etcd'), false);
});

test('the configuration of the plugin is the one of the slides, and bandwidth', () => {
  const text = configOf({})['cni_network_config'] ?? '';
  const filled = text
    .replace('__ETCD_ENDPOINTS__', 'http://10.96.232.136:6666')
    .replace('__CNI_MTU__', '1500')
    .replace('__KUBECONFIG_FILEPATH__', '/etc/cni/net.d/calico-kubeconfig');
  assert.deepEqual(JSON.parse(filled), {
    name: 'k8s-pod-network',
    cniVersion: '0.3.0',
    plugins: [
      {
        type: 'calico',
        etcd_endpoints: 'http://10.96.232.136:6666',
        log_level: 'info',
        mtu: 1500,
        ipam: { type: 'calico-ipam' },
        policy: { type: 'k8s' },
        kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig' },
      },
      { type: 'portmap', snat: true, capabilities: { portMappings: true } },
      { type: 'bandwidth', capabilities: { bandwidth: true } },
    ],
  });
});

test('calico-node is two containers after one init container', () => {
  const pod = podOf(find(manifests(defaults()), 'DaemonSet', 'calico-node'));
  assert.deepEqual(
    pod?.containers.map(({ name }) => name),
    ['calico-node', 'bgp'],
  );
  assert.deepEqual(
    pod?.initContainers?.map(({ name }) => name),
    ['install-cni'],
  );
});

test('every entry of conf.node is in the environment of agent and speaker', () => {
  const node = { FELIX_ROUTETABLERANGE: 4200000000, IP: null, CLUSTER_TYPE: 'k8s' };
  for (const container of podOf(
    find(manifests(settingsOf({ conf: { node } })), 'DaemonSet', 'calico-node'),
  )?.containers ?? []) {
    const value = (name: string) => container.env?.find((v) => v.name === name)?.value;
    assert.equal(value('FELIX_ROUTETABLERANGE'), '4200000000');
    assert.equal(value('CLUSTER_TYPE'), 'k8s');
    assert.equal(
      container.env?.some(({ name }) => name === 'IP'),
      false,
    );
  }
});

test('the pod is given the time that its speaker takes to leave, and four seconds more', () => {
  const grace = (node: { readonly BGP_DRAIN_SECONDS?: number }) => {
    const daemonSet = find(manifests(settingsOf({ conf: { node } })), 'DaemonSet', 'calico-node');
    return podOf(daemonSet)?.terminationGracePeriodSeconds;
  };
  assert.equal(grace({}), 5);
  assert.equal(grace({ BGP_DRAIN_SECONDS: 30 }), 34);
});

test('settings of the pool restart no node pod; another physical MTU does', () => {
  const node = (networking: Json) =>
    find(manifests(settingsOf({ networking })), 'DaemonSet', 'calico-node');
  const before = node({});
  const changed = node({
    podSubnet: '10.0.0.0/16',
    settings: {
      mesh: 'off',
      ippool: { ipip: { mode: 'Never' }, vxlan: { mode: 'Always' }, nat_outgoing: 'no' },
    },
    bgp: { asnumber: 4200000000 },
  });
  assert.deepEqual(changed, before);
  assert.notDeepEqual(node({ mtu: 9000 }), before);
});

test('no container is privileged, and probes stay on loopback', () => {
  const containers = containersOf(allManifests(defaults()));
  assert.ok(containers.length >= 8);
  assert.equal(JSON.stringify(containers).includes('"privileged":true'), false);
  for (const { livenessProbe } of containers) {
    if (livenessProbe) assert.equal(livenessProbe.httpGet.host, '127.0.0.1');
  }
});

test('kube-controllers is not root, and may leave the network of the node', () => {
  const deployment = (user: Json) =>
    podSpecOf(find(manifests(settingsOf(user)), 'Deployment', 'calico-kube-controllers'))!;
  const [own] = deployment({}).containers;
  assert.equal(own?.securityContext.runAsNonRoot, true);
  assert.equal(deployment({}).hostNetwork, true);
  const apart = deployment({ pod: { kube_controllers: { host_network: false } } });
  assert.equal(apart.hostNetwork, false);
  assert.equal(apart.containers[0]?.livenessProbe?.httpGet.host, undefined);
});

test('images come from the registry of the settings, or of a chart around ours', () => {
  const imageOf = (user: Json) =>
    podSpecOf(find(manifests(settingsOf(user)), 'DaemonSet', 'calico-node'))?.containers[0]?.image;
  const digest = `@sha256:${'0'.repeat(64)}`;
  assert.equal(imageOf({}), 'docker.io/calico-kit/calico-node:0.1.0');
  const registry = 'mirror.example:5000';
  assert.equal(
    imageOf({ images: { registry } }),
    'mirror.example:5000/calico-kit/calico-node:0.1.0',
  );
  assert.equal(
    imageOf({ images: { registry, node: `node${digest}` } }),
    `mirror.example:5000/node${digest}`,
  );
  const global = { imageRegistry: 'global.example' };
  assert.equal(imageOf({ global }), 'global.example/calico-kit/calico-node:0.1.0');
  assert.equal(
    imageOf({ global, images: { registry } }),
    'mirror.example:5000/calico-kit/calico-node:0.1.0',
  );
});

test('Argo CD gets the order in which things need one another', () => {
  const waves = new Map(
    manifests(settingsOf({ argocd: { sync_waves: true } })).map(({ kind, metadata }) => [
      `${kind} ${metadata.name}`,
      Number(
        (metadata as { annotations?: Record<string, string> }).annotations?.[
          'argocd.argoproj.io/sync-wave'
        ],
      ),
    ]),
  );
  const order = [
    'Namespace calico-connectivity',
    'ServiceAccount calico-node',
    'ConfigMap calico-etc',
    'DaemonSet calico-etcd',
    'DaemonSet calico-node',
    'Deployment calico-kube-controllers',
  ].map((name) => waves.get(name)!);
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  assert.ok([...waves.values()].every((wave) => Number.isInteger(wave)));
  assert.doesNotMatch(JSON.stringify(manifests(defaults())), /sync-wave/);
});

test('no role uses a wildcard; of Secrets only the one with the passwords of BGP is read', () => {
  const roles = allManifests(defaults()).filter((o) => o.kind.endsWith('Role'));
  assert.equal(roles.length, 9);
  assert.doesNotMatch(JSON.stringify(roles), /"\*"/);
  const readers = roles.filter((role) => JSON.stringify(role['rules']).includes('"secrets"'));
  assert.deepEqual(
    readers.map(({ kind, metadata, rules }) => [kind, metadata.namespace, rules]),
    [
      [
        ...['Role', 'kube-system'],
        [
          {
            apiGroups: [''],
            resources: ['secrets'],
            resourceNames: ['bgp-secrets'],
            verbs: ['get', 'list', 'watch'],
          },
        ],
      ],
    ],
  );
});

test('no variable is given twice', () => {
  fc.assert(
    fc.property(goodValues, (user) => {
      const values = JSON.parse(JSON.stringify(user)) as Json;
      for (const { env = [] } of containersOf(manifests(settingsOf(values)))) {
        const names = env.map(({ name }) => name);
        assert.equal(new Set(names).size, names.length);
      }
    }),
    { numRuns: RUNS },
  );
});

test('risks are named only where they are', () => {
  const texts = (user: Json) =>
    risksOf(settingsOf(user))
      .filter(({ present }) => present === true)
      .map(({ text }) => text.split(' ')[0]);
  const quiet = {
    networking: { settings: { ippool: { ipip: { mode: 'Never' } } } },
    etcd: { enabled: false, endpoints: 'http://10.0.2.6:2379' },
  };
  assert.deepEqual(texts(quiet), []);
  assert.deepEqual(texts({ networking: { settings: { mesh: 'off' } } }), [
    'networking.settings.ippool.ipip.mode',
    'networking.settings.mesh',
    'calico-etcd',
    'calico-etcd',
  ]);
});
