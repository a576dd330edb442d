// All objects for given settings, as plain JSON: what `cdk8s synth` writes, in memory.
import { App } from 'cdk8s';
import type { Json } from '../base/json.ts';
import { Calico } from './constructs/calico.ts';
import { CalicoCertificates } from './constructs/calico-certificates.ts';
import { CalicoCleanup } from './constructs/calico-cleanup.ts';
import { CalicoPoolsCheck } from './constructs/calico-pools-check.ts';
import { CalicoTest } from './constructs/calico-test.ts';
import type { Settings } from './constructs/settings.ts';

/** One Kubernetes object. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: Json | Manifest['metadata'];
}

/** The objects of an installation. */
export const manifests = (settings: Settings): readonly Manifest[] =>
  plain(new Calico(new App(), 'calico', settings).toJson());

/** The objects that clean the nodes after an uninstall. */
export const cleanupManifests = (settings: Settings): readonly Manifest[] =>
  plain(new CalicoCleanup(new App(), 'cleanup', settings).toJson());

/** The objects that make certificates before the installation. */
export const certificatesManifests = (settings: Settings): readonly Manifest[] =>
  plain(new CalicoCertificates(new App(), 'certificates', settings).toJson());

/** What looks at the pools before an upgrade. */
export const checkManifests = (settings: Settings): readonly Manifest[] =>
  plain(new CalicoPoolsCheck(new App(), 'check', settings).toJson());

/** What `helm test` makes. */
export const testManifests = (settings: Settings): readonly Manifest[] =>
  plain(new CalicoTest(new App(), 'test', settings).toJson());

/** All that a chart holds. */
export const allManifests = (settings: Settings): readonly Manifest[] => [
  ...certificatesManifests(settings),
  ...checkManifests(settings),
  ...manifests(settings),
  ...cleanupManifests(settings),
  ...testManifests(settings),
];

const plain = (objects: readonly object[]): readonly Manifest[] =>
  JSON.parse(JSON.stringify(objects)) as Manifest[];
