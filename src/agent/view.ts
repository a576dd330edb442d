// What the agent remembers of the datastore: this node's WorkloadEndpoints, the profiles' names,
// the pools and whether the datastore may be used. Fed by the agent's single watch; pure state.
import type { Change, KeyValue } from '../datastore/store.ts';
import type { ClusterInformationSpec } from '../model/cluster-information.ts';
import {
  type ClusterRoutes,
  clusterRoutes,
  clusterRoutesIn,
  ownerOfRoutes,
  type RouteOwner,
} from '../model/cluster-routes.ts';
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts';
import { checkIpPoolSpec, type IpPool, type IpPoolSpec } from '../model/ip-pool.ts';
import { parseKey, resourceKey, resourcePrefix } from '../model/keys.ts';
import { parseResource } from '../model/resource.ts';
import {
  mayBeEndpointOf,
  parseWorkloadEndpointName,
  type WorkloadEndpoint,
  type WorkloadEndpointSpec,
} from '../model/workload-endpoint.ts';

const ENDPOINTS = resourcePrefix('workloadendpoints');
/** The kinds of which a cluster may have thousands. */
const POLICIES = [resourcePrefix('networkpolicies'), resourcePrefix('globalnetworkpolicies')];
const isPolicy = (key: string): boolean => POLICIES.some((prefix) => key.startsWith(prefix));
const SPEAKER_SETTINGS = resourceKey('bgpconfigurations', 'default');

/** An endpoint with the revision that a later write must compare against. */
export interface StoredEndpoint {
  readonly key: string;
  readonly endpoint: WorkloadEndpoint;
  readonly revision: bigint;
}

export class DatastoreView {
  private readonly node: string;
  private readonly mayBeOurs: (key: string) => boolean;
  private readonly endpointsByKey = new Map<string, StoredEndpoint>();
  private readonly poolsByName = new Map<string, IpPool>();
  private readonly profiles = new Set<string>();
  private readonly felix = new Map<string, FelixConfigurationSpec>();
  private speakerRoutes: ClusterRoutes | undefined;
  private locked = false;
  private synced = false;

  /** The environment's FELIX_WORKLOADSOURCESPOOFING, if it is set. */
  private readonly spoofingByEnvironment: boolean | undefined;

  constructor(node: string, spoofingByEnvironment?: boolean) {
    this.node = node;
    this.mayBeOurs = mayBeEndpointOf(node);
    this.spoofingByEnvironment = spoofingByEnvironment;
  }

  get inSync(): boolean {
    return this.synced;
  }

  /** `calicoctl datastore migrate lock` sets datastoreReady to false. */
  get datastoreReady(): boolean {
    return !this.locked;
  }

  /** FelixConfiguration workloadSourceSpoofing: the environment's over this node's over the cluster's. */
  get sourceSpoofingAllowed(): boolean {
    if (this.spoofingByEnvironment !== undefined) return this.spoofingByEnvironment;
    return this.felixConfiguration.workloadSourceSpoofing === 'Any';
  }

  /** What FelixConfiguration says for this node: its own fields over the cluster's. */
  get felixConfiguration(): FelixConfigurationSpec {
    return { ...this.felix.get('default'), ...this.felix.get(`node.${this.node}`) };
  }

  /** Who writes the routes of pools without VXLAN; the environment goes over FelixConfiguration. */
  ownerOfRoutes(pool: keyof ClusterRoutes, environment: string | undefined): RouteOwner {
    const said = environment || this.felixConfiguration.programClusterRoutes;
    return ownerOfRoutes(pool, this.speakerRoutes, clusterRoutes(said));
  }

  get pools(): readonly IpPool[] {
    return [...this.poolsByName.values()];
  }

  /** This node's endpoints in key order of arrival. */
  get endpoints(): readonly StoredEndpoint[] {
    return [...this.endpointsByKey.values()];
  }

  endpoint(key: string): StoredEndpoint | undefined {
    return this.endpointsByKey.get(key);
  }

  hasProfile(name: string): boolean {
    return this.profiles.has(name);
  }

  snapshot(items: readonly KeyValue[]): void {
    this.endpointsByKey.clear();
    this.poolsByName.clear();
    this.profiles.clear();
    this.felix.clear();
    this.speakerRoutes = undefined;
    this.locked = false;
    for (const item of items) this.put(item);
    this.synced = true;
  }

  changes(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === 'put') this.put(change.item);
      else this.remove(change.key, change.revision);
    }
  }

  /** What a just-committed write stored; the watch confirms it later. */
  put(item: KeyValue): void {
    const { key } = item;
    if (key.startsWith(ENDPOINTS)) {
      if (!this.mayBeOurs(key)) return; // nearly all
      const named = parseKey(key);
      if (named?.kind === 'namespaced') this.putEndpoint(item, named.name);
    } else if (!isPolicy(key)) {
      const named = parseKey(key);
      if (named?.kind === 'resource') this.putResource(item, named.plural, named.name);
    }
  }

  private putEndpoint(item: KeyValue, name: string): void {
    if (parseWorkloadEndpointName(name)?.node !== this.node) return;
    const known = this.endpointsByKey.get(item.key);
    if (known && known.revision > item.revision) return;
    const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
      'WorkloadEndpoint',
      item.value,
    );
    if (!parsed.ok) return;
    this.endpointsByKey.set(item.key, {
      key: item.key,
      endpoint: parsed.value,
      revision: item.revision,
    });
  }

  private putResource(item: KeyValue, plural: string, name: string): void {
    if (plural === 'profiles') this.profiles.add(name);
    if (plural === 'ippools') {
      const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', item.value, checkIpPoolSpec);
      if (pool.ok) this.poolsByName.set(name, pool.value);
    }
    if (plural === 'felixconfigurations') {
      const settings = parseResource<'FelixConfiguration', FelixConfigurationSpec>(
        'FelixConfiguration',
        item.value,
      );
      this.felix.set(name, settings.ok ? settings.value.spec : {});
    }
    if (item.key === SPEAKER_SETTINGS)
      this.speakerRoutes = clusterRoutes(clusterRoutesIn('BGPConfiguration', item.value));
    if (item.key === resourceKey('clusterinformations', 'default')) {
      const info = parseResource<'ClusterInformation', ClusterInformationSpec>(
        'ClusterInformation',
        item.value,
      );
      this.locked = info.ok && info.value.spec.datastoreReady === false;
    }
  }

  /** Forgets a key that was deleted at `revision`. */
  remove(path: string, revision: bigint): void {
    const key = parseKey(path);
    if (key?.kind === 'namespaced') {
      const known = this.endpointsByKey.get(path);
      if (known && known.revision <= revision) this.endpointsByKey.delete(path);
    } else if (key?.kind === 'resource') {
      if (key.plural === 'ippools') this.poolsByName.delete(key.name);
      if (key.plural === 'profiles') this.profiles.delete(key.name);
      if (key.plural === 'felixconfigurations') this.felix.delete(key.name);
      if (key.plural === 'clusterinformations') this.locked = false;
      if (path === SPEAKER_SETTINGS) this.speakerRoutes = undefined;
    }
  }
}
