// `make down`: ends the cluster; processes, namespaces, mounts, cgroups and state are gone after it.
import { mustBeRoot, netnsCluster } from './netns/netns-cluster.ts';
import { openProgress } from './progress.ts';

try {
  mustBeRoot();
  await openProgress().step('cluster removed', () => netnsCluster().delete());
} catch (cause) {
  console.error(`make down failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 1;
}
