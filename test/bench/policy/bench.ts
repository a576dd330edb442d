// The policy engine: the real agent, bundled, on a real etcd, in a network namespace that is the node.
// What it is measured against in the same run: restore commands that write the same final state. All
// of it, or what SERIES names (flip, labels, cold, felix, crr).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensurePackages } from '../../cluster/packages.ts';
import { createNetns, netnsPath } from '../../lab/netns.ts';

ensurePackages(['iptables', 'ipset', 'iproute2']);
const netns = createNetns(`ckt-pol-${process.pid}`);
try {
  const suite = [process.execPath, join(import.meta.dirname, 'suite.ts'), netns.name];
  const { status } = spawnSync('nsenter', [`--net=${netnsPath(netns.name)}`, ...suite], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} finally {
  netns.remove();
}
