// The umbrella: the whole of Calico as one cdk8s chart. Others import it and extend it:
// `new Calico(app, 'calico', settings)`, with settings from `settingsFrom` or expressions.
import { Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { only } from '../helm/reading.ts';
import { CalicoEtc } from './calico-etc.ts';
import { CalicoEtcd } from './calico-etcd.ts';
import { CalicoNode } from './calico-node.ts';
import { ConnectivityRights, isTested } from './calico-test.ts';
import { KubeControllers } from './kube-controllers.ts';
import { Monitoring } from './monitoring.ts';
import { Rbac } from './rbac.ts';
import type { Settings } from './settings.ts';
import { inWaves } from './waves.ts';

export class Calico extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    // Other tools look for these objects by name.
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'rbac', settings.rbac.create, (at) => new Rbac(at, 'roles'));
    const { manifests } = settings;
    only(this, 'config', manifests.configmap_etc, (at) => new CalicoEtc(at, 'etc', settings));
    only(this, 'etcd', settings.etcd.enabled, (at) => new CalicoEtcd(at, 'member', settings));
    only(this, 'nodes', manifests.daemonset_calico_node, (at) => {
      new CalicoNode(at, 'node', settings);
    });
    only(this, 'writers', manifests.deployment_calico_kube_controllers, (at) => {
      new KubeControllers(at, 'controllers', settings);
    });
    only(this, 'test', isTested(settings), (at) => {
      new ConnectivityRights(at, 'rights', settings);
    });
    new Monitoring(this, 'monitoring', settings);
    inWaves(this, settings.argocd.sync_waves);
  }
}
