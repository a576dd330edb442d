// The route reflector controller as a process beside a lab's etcd, with nodes of a Kubernetes in memory.
// Arguments: etcd endpoint, reflectors per zone, settle time in milliseconds, node names.
import { systemClock } from '../../src/base/clock.io.ts';
import { openLog } from '../../src/base/log.io.ts';
import { DatastoreMirror } from '../../src/controllers/datastore-mirror.io.ts';
import { reflectorController } from '../../src/controllers/route-reflectors/controller.io.ts';
import { openEtcdStore } from '../../src/datastore/etcd.io.ts';
import { memoryKubernetes } from '../../src/kubernetes/memory.ts';

const [endpoint = '', perZone, settle, ...nodes] = process.argv.slice(2);
const stop = new AbortController();
const log = openLog('reflectors', process.env['LOG_LEVEL'] ?? 'warn');
const store = openEtcdStore({ endpoints: [endpoint], log });
const kubernetes = memoryKubernetes();
for (const name of nodes)
  kubernetes.put('nodes', {
    metadata: { name },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });
const mirror = new DatastoreMirror();
const parts = { store, mirror, kubernetes, clock: systemClock, log, signal: stop.signal };
reflectorController({
  ...parts,
  perZone: Number(perZone),
  settleMilliseconds: Number(settle),
});
mirror.follow(store, log, stop.signal);
process.once('SIGTERM', () => process.exit(0));
