// An API server that keeps any object: a process of its own, since it serves inside a network namespace.
// Writes go by resourceVersion as Kubernetes' do. `node object-server.ts ADDRESS PORT CERTIFICATE KEY`.
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';

interface Stored {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
}

const objects = new Map<string, Stored>();
let version = 0;

function store(path: string, object: Stored): Stored {
  const metadata = { ...object.metadata, resourceVersion: String(++version) };
  const stored = { ...object, metadata };
  objects.set(path, stored);
  return stored;
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<Stored> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text) as Stored;
}

/** An object, or the list of a kind that is asked for as one. */
function read(path: string): object | undefined {
  const found = objects.get(path);
  if (found || !/\/(pods|nodes)$/.test(path)) return found;
  return {
    items: [...objects].filter(([key]) => key.startsWith(`${path}/`)).map(([, one]) => one),
  };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').replace(/\?.*$/, '');
  if (request.method === 'GET') {
    const found = read(path);
    answer(response, found ? 200 : 404, found ?? { message: `there is no ${path}` });
    return;
  }
  const object = await bodyOf(request);
  const isNew = request.method === 'POST';
  const key = isNew ? `${path}/${object.metadata.name}` : path;
  const now = objects.get(key)?.metadata.resourceVersion;
  if (isNew ? now !== undefined : now !== object.metadata.resourceVersion)
    answer(response, 409, { message: `${key} is another one` });
  else answer(response, 200, store(key, object));
}

const [address, port, certificate, key] = process.argv.slice(2) as [string, string, string, string];
const files = { cert: readFileSync(certificate), key: readFileSync(key) };
createServer(files, (request, response) => void serve(request, response)).listen(
  Number(port),
  address,
  () => process.send?.('ready'),
);

/** The test writes as it likes: `{path, object}`, or `{path}` to delete; `{read: path}` is answered. */
process.on('message', (order: { path?: string; object?: Stored; read?: string }) => {
  if (order.read !== undefined) process.send?.(objects.get(order.read) ?? null);
  else if (order.path !== undefined && order.object) store(order.path, order.object);
  else if (order.path !== undefined) objects.delete(order.path);
});
process.on('disconnect', () => process.exit());
