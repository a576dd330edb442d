// The service proxy as the agent opens it, alone in a process: `node ours.ts PORT ACCOUNT`, with the
// API server's port on loopback and the folder of a service account.
import { promises as fs } from 'node:fs';
import { openNodeServices } from '../../../src/agent/services/open.io.ts';
import { serviceProxySettings } from '../../../src/agent/services/settings.ts';
import { openLog } from '../../../src/base/log.io.ts';
import { openRegistry } from '../../../src/base/metrics.io.ts';
import { openKernel } from '../../../src/kernel/netns.io.ts';
import { kubernetesApi } from '../../../src/kubernetes/client.io.ts';
import { inClusterCredentials } from '../../../src/kubernetes/connection.io.ts';

const settings = serviceProxySettings({
  CALICO_SERVICE_PROXY: 'true',
  CALICO_SERVICE_PROXY_CLUSTER_CIDR: '10.0.0.0/8',
});
if (!settings.ok || !settings.value) throw new Error('the settings are wrong');
const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: process.argv[2] };
await fs.readFile('/proc/self/comm'); // the pool's threads begin in this namespace
await openNodeServices({
  node: 'n1',
  settings: settings.value,
  kubernetes: kubernetesApi(inClusterCredentials(env, process.argv[3])),
  kernel: openKernel(),
  log: openLog('services', process.env['LOG_LEVEL'] ?? 'warn'),
  registry: openRegistry(),
});
setInterval(() => undefined, 60_000);
