// The one door to the metrics library.
import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry, Summary } from 'prom-client';

export { Counter, Gauge, Histogram, Registry };

const RECENT = 500;
const QUANTILES = [0.5, 0.9, 0.99];

/**
 * Quantiles of the last 500 observations, sorted when they are asked for: an observation costs next
 * to nothing, where the library's own summary sorts it into a digest at once (60 us).
 */
export class RecentSummary extends Summary {
  private readonly recent = new Float64Array(RECENT);
  private count = 0;
  private sum = 0;

  constructor(options: { name: string; help: string; registers: Registry[] }) {
    super({ ...options, percentiles: QUANTILES });
  }

  override observe(value: unknown): void {
    const observed = Number(value);
    this.recent[this.count++ % RECENT] = observed;
    this.sum += observed;
  }

  override async get() {
    const told = await super.get();
    const sorted = this.recent.slice(0, Math.min(this.count, RECENT)).sort();
    const at = (quantile: number): number =>
      sorted[Math.min(Math.floor(quantile * sorted.length), sorted.length - 1)] ?? 0;
    const quantiles = QUANTILES.map((quantile) => ({ labels: { quantile }, value: at(quantile) }));
    const totals = { sum: this.sum, count: this.count };
    const rest = (['sum', 'count'] as const).map((what) => ({
      metricName: `${told.name}_${what}`,
      labels: {},
      value: totals[what],
    }));
    return { ...told, values: [...quantiles, ...rest] };
  }
}

/** How often the event loop's delay is looked at: each look wakes the process. */
const LOOK_MILLISECONDS = 500;

/** A registry with the process's own figures in it. */
export function openRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOK_MILLISECONDS });
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
