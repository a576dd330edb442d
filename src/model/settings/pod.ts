// Settings of the pods: openstack-helm's `pod` section, one part for each of our pods.
import Type from 'typebox';
import type { Json } from '../../base/json.ts';
import { closed, enumOf, integer, map, text, texts } from './parts.ts';

/** What Kubernetes takes as it is. */
const free = (value: Json, description: string) =>
  Type.Unsafe<Readonly<Record<string, Json>>>({ type: 'object', default: value, description });

const objects = (
  value: readonly object[],
  required: readonly string[],
  properties: Readonly<Record<string, object>>,
  description: string,
) =>
  Type.Unsafe<readonly object[]>({
    type: 'array',
    items: { type: 'object', required, properties, ...closed },
    default: value,
    description,
  });

const TEXT = { type: 'string' };

const NODE_CRITICAL = 'system-node-critical';
const CLUSTER_CRITICAL = 'system-cluster-critical';

const podSettings = (priorityClass: string) => ({
  resources: free({}, 'Requests and limits of each container'),
  labels: texts('Further labels of the pods'),
  annotations: texts('Further annotations of the pods'),
  extra_env: objects(
    [],
    ['name'],
    { name: TEXT, value: TEXT, valueFrom: { type: 'object' } },
    'Further environment variables of each container, as Kubernetes writes them: name, and value or valueFrom',
  ),
  tolerations: objects(
    [{ operator: 'Exists' }],
    [],
    {
      key: TEXT,
      operator: { type: 'string', enum: ['Exists', 'Equal', 'Lt', 'Gt'] },
      value: TEXT,
      effect: { type: 'string', enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] },
      tolerationSeconds: { type: 'integer' },
    },
    'Taints that are tolerated, as Kubernetes writes them',
  ),
  priority_class: text(priorityClass, 'PriorityClass of the pods'),
  node_selector: texts('Further labels that their nodes must have'),
  app_armor: enumOf(
    ['', 'RuntimeDefault', 'Unconfined'],
    '',
    'AppArmor profile of the pods; empty: as the runtime does it',
  ),
});

const affinity = free({}, 'Where the pods may run, as Kubernetes writes it');

export const pod = map({
  calico_node: map({
    ...podSettings(NODE_CRITICAL),
    affinity,
    update_strategy: enumOf(
      ['RollingUpdate', 'OnDelete'],
      'RollingUpdate',
      'OnDelete: a node gets its new pod when you delete the old one',
    ),
    max_unavailable: Type.Unsafe<number | string>({
      type: ['integer', 'string'],
      default: 1,
      description: 'Nodes that are updated at a time: a number, or a percentage such as 10%',
    }),
  }),
  kube_controllers: map({
    ...podSettings(CLUSTER_CRITICAL),
    affinity,
    host_network: Type.Boolean({
      default: true,
      description:
        'Run on the network of the node; false: as a pod of the network that it looks after',
    }),
    min_available: integer(
      0,
      0,
      1,
      'PodDisruptionBudget: 1 lets nobody evict the pod; 0: there is none',
    ),
  }),
  etcd: map({
    ...podSettings(CLUSTER_CRITICAL),
    affinity: free({}, 'Where the pods may run; empty: on nodes of the control plane'),
  }),
});
