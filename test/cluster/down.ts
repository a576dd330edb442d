// `make down`: ends the cluster; processes, namespaces, mounts, cgroups and state are gone after it.
import { netnsCluster } from './netns-cluster.ts';
import { openProgress } from './progress.ts';

await openProgress().step('cluster removed', () => netnsCluster().delete());
