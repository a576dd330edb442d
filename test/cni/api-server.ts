// api-server.ts OBJECTS: a Kubernetes API with these objects (JSON: lists by kind), on the loopback of the
// network namespace that it is started in. Prints the path of a kubeconfig; ends with its stdin, that
// is with its test.
import type { Kinds } from '../../src/kubernetes/api.ts';
import { startFakeApiServer } from '../lab/fake-api-server.ts';

type Lists = { readonly [K in keyof Kinds]?: readonly Kinds[K][] };

const lists = JSON.parse(process.argv[2] ?? '{}') as Lists;
const server = await startFakeApiServer();
for (const kind of Object.keys(lists) as (keyof Kinds)[])
  for (const object of lists[kind] ?? []) server.put(kind, object);
console.log(server.kubeconfig);
process.stdin.on('end', () => server.close()).resume();
