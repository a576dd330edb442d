// api-server.ts NODES: a Kubernetes API with these nodes (JSON), on the loopback of the network namespace
// that it is started in. Prints the path of a kubeconfig; ends with its stdin, that is with its test.
import type { Node } from '../../src/kubernetes/api.ts';
import { startFakeApiServer } from '../lab/fake-api-server.ts';

const nodes = JSON.parse(process.argv[2] ?? '[]') as readonly Node[];
const server = await startFakeApiServer();
for (const node of nodes) server.put('nodes', node);
console.log(server.kubeconfig);
process.stdin.on('end', () => server.close()).resume();
