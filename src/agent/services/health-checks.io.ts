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
  /** Addresses to listen on; undefined: all. */
  readonly hosts: () => readonly string[] | undefined;
  readonly log: Log;
}

const ANY = '*';

export class HealthChecks {
  private readonly options: HealthChecksOptions;
  /** By `address port`. */
  private readonly servers = new Map<string, Server>();
  private wanted: WantedHealthChecks = new Map();

  constructor(options: HealthChecksOptions) {
    this.options = options;
  }

  /** Opens and closes ports; a port that cannot be had is told and tried again at the next change. */
  update(wanted: WantedHealthChecks): void {
    this.wanted = wanted;
    const hosts = wanted.size > 0 ? (this.options.hosts() ?? [ANY]) : [];
    const places = new Map<string, { readonly host: string; readonly port: number }>();
    for (const host of hosts)
      for (const port of wanted.keys()) places.set(`${host} ${port}`, { host, port });
    for (const [place, server] of this.servers) {
      if (places.has(place)) continue;
      server.close();
      server.closeAllConnections();
      this.servers.delete(place);
    }
    for (const [place, { host, port }] of places)
      if (!this.servers.has(place)) this.open(place, host, port);
  }

  close(): void {
    this.update(new Map());
  }

  private open(place: string, host: string, port: number): void {
    const { log } = this.options;
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
      log.error({ place, cause: messageOf(cause) }, 'healthCheckNodePort cannot be served');
      if (this.servers.get(place) === server) this.servers.delete(place);
    });
    this.servers.set(place, server);
    server.listen(host === ANY ? { port } : { port, host, ipv6Only: true });
  }

  /** Resolves when every port that could be had is open; for tests. */
  async opened(): Promise<void> {
    const waiting = [...this.servers.values()].filter(({ listening }) => !listening);
    await Promise.all(
      waiting.map((one) => new Promise((resolve) => one.once('listening', resolve))),
    );
  }
}
