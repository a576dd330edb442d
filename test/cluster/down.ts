// `make down [CLUSTER=kind]`: ends the cluster; processes, namespaces, mounts, cgroups and state are gone after it.
import { chosenCluster } from './choose.ts';
import { openProgress } from './progress.ts';

try {
  await openProgress().step('cluster removed', () => chosenCluster().delete());
} catch (cause) {
  console.error(`make down failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 1;
}
