// How to reach the API server: the pod's service account, or a kubeconfig. The token is read anew
// now and then, because the kubelet rotates it.
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { OpError } from '../base/op-error.ts';

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const TOKEN_MILLISECONDS = 60_000;
const REQUEST_MILLISECONDS = 10_000;
const UNAUTHORIZED = 401;
const BODY_BYTES_MAX = 256 << 20;

export interface Credentials {
  readonly server: URL;
  readonly agent: Agent;
  /** Bearer token; empty with client certificates. */
  token(): string;
  /** The server refused the token (401): read it anew next time. */
  refused(): void;
}

/** The pod's own account. Throws OpError when this is no pod. */
export function inClusterCredentials(
  env: NodeJS.ProcessEnv = process.env,
  account = ACCOUNT,
): Credentials {
  const [host, port] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT'] ?? '443'];
  if (!host) throw new OpError('find the API server', 'KUBERNETES_SERVICE_HOST is not set');
  const bracketed = host.includes(':') ? `[${host}]` : host;
  let cached = { text: '', readAt: Number.NEGATIVE_INFINITY };
  return {
    server: new URL(`https://${bracketed}:${port}`),
    agent: new Agent({ keepAlive: true, ca: readFileSync(`${account}/ca.crt`) }),
    token: () => {
      if (performance.now() - cached.readAt > TOKEN_MILLISECONDS) {
        cached = {
          text: readFileSync(`${account}/token`, 'utf8').trim(),
          readAt: performance.now(),
        };
      }
      return cached.text;
    },
    refused: () => {
      cached.readAt = Number.NEGATIVE_INFINITY;
    },
  };
}

/** From a kubeconfig file; the library is loaded only when it is needed (it is large). */
export async function kubeconfigCredentials(path: string): Promise<Credentials> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(path);
  const options: { ca?: Buffer; cert?: Buffer; key?: Buffer; headers?: Record<string, string> } =
    {};
  await config.applyToHTTPSOptions(options as never);
  const { ca, cert, key } = options;
  const token = config.getCurrentUser()?.token ?? '';
  const server = config.getCurrentCluster()?.server;
  if (!server) throw new OpError(`read ${path}`, 'the current context has no server');
  const tls = Object.fromEntries(Object.entries({ ca, cert, key }).filter(([, value]) => value));
  return {
    server: new URL(server),
    agent: new Agent({ keepAlive: true, ...tls }),
    token: () => token,
    refused: () => {},
  };
}

/** What the API server answered with an error status. */
export class StatusError extends OpError {
  readonly status: number;

  constructor(op: string, status: number, message: string) {
    super(op, message || `status ${status}`);
    this.status = status;
  }
}

export interface ApiRequest {
  readonly method: 'GET' | 'PATCH' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: { readonly type: string; readonly text: string };
  readonly signal?: AbortSignal;
  /** Absent: REQUEST_MILLISECONDS without any byte. */
  readonly idleMilliseconds?: number;
}

/** Opens a response; the caller reads it. Rejects with StatusError for statuses over 299. */
export function openResponse(
  credentials: Credentials,
  request: ApiRequest,
): Promise<IncomingMessage> {
  const op = `${request.method} ${request.path.split('?')[0]}`;
  return new Promise((resolve, reject) => {
    const token = credentials.token();
    const call = httpsRequest(
      new URL(request.path, credentials.server),
      {
        method: request.method,
        agent: credentials.agent,
        timeout: request.idleMilliseconds ?? REQUEST_MILLISECONDS,
        ...(request.signal ? { signal: request.signal } : {}),
        headers: {
          accept: 'application/json',
          'user-agent': 'calico-kit',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(request.body ? { 'content-type': request.body.type } : {}),
        },
      },
      (response) => {
        const status = response.statusCode ?? 0;
        if (status < 300) return resolve(response);
        if (status === UNAUTHORIZED) credentials.refused();
        readBody(response).then(
          (text) => reject(new StatusError(op, status, messageIn(text))),
          (cause) => reject(new OpError(op, cause)),
        );
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', (cause) => reject(new OpError(op, cause)));
    call.end(request.body?.text);
  });
}

const messageIn = (text: string): string => {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? '';
  } catch {
    return text.slice(0, 200);
  }
};

/** The whole body as text. */
export function readBody(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > BODY_BYTES_MAX) response.destroy(new Error('the answer is too large'));
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    response.on('error', reject);
    response.on('aborted', () => reject(new Error('the answer was cut short')));
  });
}
