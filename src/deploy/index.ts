// What other programs import: the constructs, the settings they take, the helpers with which a
// construct of one's own can be read both ways; and policies as a user's own tests ask them.

export type { Values } from '../model/settings/schema.ts';
export {
  defaults,
  type Given,
  isOn,
  settingsFrom,
  settingsOf,
} from '../model/settings/settings.ts';
export {
  type ClusterDescription,
  cluster,
  type DescribedPod,
  reach,
  trace,
} from '../policy/library.ts';
export { Calico } from './constructs/calico.ts';
export { CalicoCertificates } from './constructs/calico-certificates.ts';
export { CalicoCleanup } from './constructs/calico-cleanup.ts';
export { CalicoEtc } from './constructs/calico-etc.ts';
export { CalicoEtcd } from './constructs/calico-etcd.ts';
export { CalicoNode } from './constructs/calico-node.ts';
export { CalicoPoolsCheck } from './constructs/calico-pools-check.ts';
export { CalicoTest } from './constructs/calico-test.ts';
export { KubeControllers } from './constructs/kube-controllers.ts';
export { Monitoring } from './constructs/monitoring.ts';
export { objectOf } from './constructs/objects.ts';
export { Rbac } from './constructs/rbac.ts';
export type { Settings } from './constructs/settings.ts';
export * from './helm/index.ts';
