// An API server for client tests: HTTPS on loopback, lists with pages, watches with history, and the
// troubles of real ones on demand. What a real one does is proved on the cluster.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kinds, Metadata } from '../../src/kubernetes/api.ts';
import { runAsync } from './command.ts';
import { type Stored, selectorOf } from './fake-selectors.ts';

interface Event {
  readonly version: number;
  readonly kind: string;
  /** What a DELETED one was, else what it is. */
  readonly object: Stored;
  readonly former: Stored | undefined;
  readonly isGone: boolean;
}

export interface FakeApiServer {
  readonly url: string;
  /** Folder with `ca.crt` and `token`, as a pod's service account has it. */
  readonly account: string;
  readonly kubeconfig: string;
  put<K extends keyof Kinds>(kind: K, object: Kinds[K]): void;
  remove<K extends keyof Kinds>(kind: K, name: string, namespace?: string): void;
  /** Ends all watches: in good order, or by breaking their connections. */
  endWatches(how: 'end' | 'break'): void;
  /** History up to now is gone: older versions get 410, in the way of the given form. */
  compact(form: 'status' | 'event'): void;
  /** The next request gets this answer. */
  answerNext(status: number, body: string): void;
  /** From now on only this token counts; it is also in the account's folder. */
  rotateToken(token: string): void;
  bookmark(): void;
  /** Paths with queries, in order. */
  readonly requests: readonly string[];
  /** Objects that clients made. */
  readonly posts: readonly { readonly path: string; readonly body: object }[];
  /** Watches that are open now. */
  readonly watches: number;
  close(): void;
}

interface Watch {
  readonly kind: string;
  readonly selects: (object: Stored) => boolean;
  readonly response: ServerResponse;
}

export async function startFakeApiServer(): Promise<FakeApiServer> {
  const account = mkdtempSync(join(tmpdir(), 'calico-kit-api-'));
  await makeCertificate(account);
  const server = new Fake(account);
  await server.listen();
  return server;
}

function makeCertificate(folder: string): Promise<string> {
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'ca.crt')];
  const names = ['-subj', '/CN=fake', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  return runAsync(['openssl', 'req', '-x509', ...key, '-days', '2', ...files, ...names]);
}

class Fake implements FakeApiServer {
  readonly account: string;
  readonly requests: string[] = [];
  readonly posts: { readonly path: string; readonly body: object }[] = [];
  private readonly objects = new Map<string, Map<string, Stored>>();
  private readonly history: Event[] = [];
  private readonly open = new Set<Watch>();
  private readonly answers: { status: number; body: string }[] = [];
  private readonly server;
  private version = 100;
  private compacted = 0;
  private compactedForm: 'status' | 'event' = 'status';
  private token = 'first';

  constructor(account: string) {
    this.account = account;
    const [key, cert] = ['key.pem', 'ca.crt'].map((file) => readFileSync(join(account, file)));
    this.server = createServer({ key, cert }, (request, response) =>
      this.answer(request, response),
    );
    this.rotateToken(this.token);
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** JSON is YAML. */
  get kubeconfig(): string {
    const path = join(this.account, 'kubeconfig');
    const cluster = { server: this.url, 'certificate-authority': join(this.account, 'ca.crt') };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token: this.token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  get watches(): number {
    return this.open.size;
  }

  put<K extends keyof Kinds>(kind: K, object: Kinds[K]): void {
    const id = idOf(object.metadata);
    const objects = this.kind(kind);
    const former = objects.get(id);
    const resourceVersion = String(++this.version);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion } };
    objects.set(id, stored);
    this.tell({ version: this.version, kind, object: stored, former, isGone: false });
  }

  remove<K extends keyof Kinds>(kind: K, name: string, namespace?: string): void {
    const id = idOf({ name, ...(namespace ? { namespace } : {}) });
    const object = this.kind(kind).get(id);
    this.kind(kind).delete(id);
    if (!object) return;
    const metadata = { ...object.metadata, resourceVersion: String(++this.version) };
    const last = { ...object, metadata };
    this.tell({ version: this.version, kind, object: last, former: object, isGone: true });
  }

  endWatches(how: 'end' | 'break'): void {
    for (const { response } of this.open) how === 'end' ? response.end() : response.destroy();
    this.open.clear();
  }

  compact(form: 'status' | 'event'): void {
    this.compacted = this.version;
    this.compactedForm = form;
  }

  answerNext(status: number, body: string): void {
    this.answers.push({ status, body });
  }

  rotateToken(token: string): void {
    this.token = token;
    writeFileSync(join(this.account, 'token'), token);
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(this.version) };
    for (const { response } of this.open)
      write(response, { type: 'BOOKMARK', object: { metadata } });
  }

  close(): void {
    this.endWatches('break');
    this.server.close();
    this.server.closeAllConnections();
    rmSync(this.account, { recursive: true, force: true });
  }

  private kind(kind: string): Map<string, Stored> {
    const objects = this.objects.get(kind) ?? new Map<string, Stored>();
    this.objects.set(kind, objects);
    return objects;
  }

  private tell(event: Event): void {
    this.history.push(event);
    for (const { kind, selects, response } of this.open) {
      if (kind === event.kind) tellOne(response, event, selects);
    }
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? '/', 'https://fake');
    const prepared = this.answers.shift();
    if (prepared) return void response.writeHead(prepared.status).end(prepared.body);
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      refuse(response, 401, 'Unauthorized');
      return;
    }
    if (request.method === 'POST') {
      this.take(request, response, url.pathname);
      return;
    }
    const parts = url.pathname.replace(/^\/(api|apis\/[^/]+)\/v1\//, '').split('/');
    const [kind, name, namespace] =
      parts[0] === 'namespaces' && parts.length > 2
        ? [parts[2]!, parts[3], parts[1]]
        : [parts[0]!, parts[1], undefined];
    const selects = selectorOf(url.searchParams, namespace);
    if (name !== undefined) this.get(response, kind, idOf({ name, namespace: namespace ?? '' }));
    else if (url.searchParams.has('watch')) this.watch(response, kind, url.searchParams, selects);
    else this.list(response, kind, url.searchParams, selects);
  }

  private take(request: IncomingMessage, response: ServerResponse, path: string): void {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as object;
      this.posts.push({ path, body });
      response.writeHead(201).end(JSON.stringify(body));
    });
  }

  private get(response: ServerResponse, kind: string, id: string): void {
    const object = this.kind(kind).get(id);
    if (object) response.end(JSON.stringify(object));
    else refuse(response, 404, `${kind} "${id}" not found`);
  }

  private list(
    response: ServerResponse,
    kind: string,
    query: URLSearchParams,
    selects: (object: Stored) => boolean,
  ): void {
    const all = [...this.kind(kind).values()].filter(selects);
    const from = Number(query.get('continue') ?? 0);
    const to = from + Number(query.get('limit') ?? all.length);
    const metadata = {
      resourceVersion: String(this.version),
      ...(to < all.length ? { continue: String(to) } : {}),
    };
    response.end(JSON.stringify({ metadata, items: all.slice(from, to) }));
  }

  private watch(
    response: ServerResponse,
    kind: string,
    query: URLSearchParams,
    selects: (object: Stored) => boolean,
  ): void {
    const from = Number(query.get('resourceVersion'));
    if (from < this.compacted) {
      const status = { code: 410, message: 'too old resource version' };
      if (this.compactedForm === 'status') refuse(response, 410, status.message);
      else {
        write(response, { type: 'ERROR', object: status });
        response.end();
      }
      return;
    }
    const watch = { kind, selects, response };
    response.flushHeaders();
    for (const event of this.history) {
      if (event.version > from && event.kind === kind) tellOne(response, event, selects);
    }
    this.open.add(watch);
    response.on('close', () => this.open.delete(watch));
  }
}

const idOf = ({ namespace, name }: Metadata): string => `${namespace ?? ''}/${name}`;

const write = (response: ServerResponse, event: { readonly type: string; object: object }): void =>
  void response.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`);

/** What no longer is selected is gone for this watch, what now is has come. */
function tellOne(
  response: ServerResponse,
  { object, former, isGone }: Event,
  selects: (object: Stored) => boolean,
): void {
  const [was, is] = [former !== undefined && selects(former), !isGone && selects(object)];
  if (was && is) write(response, { type: 'MODIFIED', object });
  else if (is) write(response, { type: 'ADDED', object });
  else if (was) {
    const metadata = { ...former!.metadata, resourceVersion: object.metadata.resourceVersion };
    write(response, { type: 'DELETED', object: { ...former, metadata } });
  }
}

const refuse = (response: ServerResponse, status: number, message: string): void =>
  void response.writeHead(status).end(JSON.stringify({ kind: 'Status', code: status, message }));
