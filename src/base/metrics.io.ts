// The one door to the metrics library.
import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry, Summary } from 'prom-client';

export { Counter, Gauge, Histogram, Registry, Summary };

/** A registry with the process's own figures in it. */
export function openRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Serves `GET /metrics` in the Prometheus text format. */
export function serveMetrics(registry: Registry, port: number, host = '0.0.0.0'): Server {
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': registry.contentType });
    response.end(await registry.metrics());
  });
  return server.listen(port, host);
}
