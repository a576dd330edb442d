// Whether this node serves services, for load balancers that ask each node: kube-proxy's health server
// (pkg/proxy/healthcheck/proxy_health.go). `/healthz` also refuses a node that is about to go; `/livez`
// does not.
import { createServer, type Server } from 'node:http';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';

/** kube-proxy's port; both may be there while one takes over from the other, and who was first has it. */
export const HEALTH_PORT = 10256;
const RETRY_MILLISECONDS = 1000;
/** Says that the answer is not kube-proxy's. */
export const OURS = 'x-calico-kit';

export interface ProxyHealthOptions {
  /** Address to listen on. */
  readonly host: string;
  readonly port?: number;
  readonly healthy: () => boolean;
  /** When rules were last in sync; undefined: never yet. */
  readonly lastUpdated: () => Date | undefined;
  /** Whether load balancers may send traffic here: the node stays. */
  readonly eligible: () => boolean;
  readonly answered: (path: 'healthz' | 'livez', code: number) => void;
  readonly log: Log;
}

export class ProxyHealth {
  private readonly options: ProxyHealthOptions;
  private readonly server: Server;
  private retry: NodeJS.Timeout | undefined;
  private told = false;

  constructor(options: ProxyHealthOptions) {
    this.options = options;
    this.server = createServer((request, response) => {
      const path = request.url?.split('?')[0];
      if (path !== '/healthz' && path !== '/livez') return void response.writeHead(404).end();
      const { code, body } = this.answer(path === '/healthz');
      options.answered(path === '/healthz' ? 'healthz' : 'livez', code);
      const type = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };
      response.writeHead(code, { ...type, [OURS]: 'service-proxy' }).end(JSON.stringify(body));
    });
    this.server.on('error', (cause) => this.again(cause));
    this.listen();
  }

  /** Resolves once the port is had. */
  async opened(): Promise<void> {
    if (!this.server.listening)
      await new Promise((resolve) => this.server.once('listening', resolve));
  }

  close(): void {
    clearTimeout(this.retry);
    this.server.close();
    this.server.closeAllConnections();
  }

  private answer(asksForNode: boolean): { readonly code: number; readonly body: object } {
    const { healthy, eligible, lastUpdated } = this.options;
    const [isHealthy, isEligible] = [healthy(), eligible()];
    const isGood = isHealthy && (!asksForNode || isEligible);
    const currentTime = new Date();
    return {
      code: isGood ? 200 : 503,
      body: {
        lastUpdated: isGood ? currentTime : (lastUpdated() ?? new Date(0)),
        currentTime,
        ...(asksForNode ? { nodeEligible: isEligible } : {}),
        healthy: isHealthy,
      },
    };
  }

  private listen(): void {
    const { host, port = HEALTH_PORT } = this.options;
    this.server.listen({ host, port });
  }

  private again(cause: Error): void {
    const { log, port = HEALTH_PORT } = this.options;
    if (!this.told) log.warn({ port, cause: messageOf(cause) }, 'health of services: trying again');
    this.told = true;
    this.retry = setTimeout(() => this.listen(), RETRY_MILLISECONDS);
    this.retry.unref();
  }
}
