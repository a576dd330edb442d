// healthCheckNodePort: a load balancer asks each node whether it has endpoints of a service whose
// external traffic stays on the node. Answers are kube-proxy's (pkg/proxy/healthcheck).
import { createServer, type Server } from 'node:http';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';

export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  /** Ready endpoints on this node. */
  readonly localEndpoints: number;
}

/** By port. */
export type WantedHealthChecks = ReadonlyMap<number, HealthCheck>;

export interface HealthChecksOptions {
  /** Whether this node serves services as it should; false: every answer is 503. */
  readonly healthy: () => boolean;
  /** Absent: all addresses. */
  readonly host?: string;
  readonly log: Log;
}

export class HealthChecks {
  private readonly options: HealthChecksOptions;
  private readonly servers = new Map<number, Server>();
  private wanted: WantedHealthChecks = new Map();

  constructor(options: HealthChecksOptions) {
    this.options = options;
  }

  /** Opens and closes ports; a port that cannot be had is told and tried again at the next change. */
  update(wanted: WantedHealthChecks): void {
    this.wanted = wanted;
    for (const [port, server] of this.servers) {
      if (wanted.has(port)) continue;
      server.close();
      server.closeAllConnections();
      this.servers.delete(port);
    }
    for (const port of wanted.keys()) if (!this.servers.has(port)) this.open(port);
  }

  close(): void {
    this.update(new Map());
  }

  private open(port: number): void {
    const { log, host } = this.options;
    const server = createServer((_request, response) => {
      const check = this.wanted.get(port);
      const serviceProxyHealthy = this.options.healthy();
      const localEndpoints = check?.localEndpoints ?? 0;
      const good = localEndpoints > 0 && serviceProxyHealthy;
      response.writeHead(good ? 200 : 503, {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': String(localEndpoints),
      });
      const service = { namespace: check?.namespace, name: check?.name };
      response.end(JSON.stringify({ service, localEndpoints, serviceProxyHealthy }));
    });
    server.on('error', (cause) => {
      log.error({ port, cause: messageOf(cause) }, 'healthCheckNodePort cannot be served');
      if (this.servers.get(port) === server) this.servers.delete(port);
    });
    this.servers.set(port, server);
    server.listen(host === undefined ? { port } : { port, host });
  }

  /** Resolves when every port that could be had is open; for tests. */
  async opened(): Promise<void> {
    const waiting = [...this.servers.values()].filter(({ listening }) => !listening);
    await Promise.all(
      waiting.map((one) => new Promise((resolve) => one.once('listening', resolve))),
    );
  }
}
