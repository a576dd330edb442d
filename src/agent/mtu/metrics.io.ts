// MTUs in Prometheus form, read when they are scraped.
import { Gauge, type Registry } from '../../base/metrics.io.ts';
import type { NodeMtu } from './node-mtu.io.ts';
import type { PathProbe } from './path-probe.io.ts';

export interface MeasuredHost {
  readonly mtu: Pick<NodeMtu, 'state'>;
  readonly probe: Pick<PathProbe, 'paths'> | undefined;
}

/** `host.probe` may come later. */
export function measureHost(registry: Registry, host: MeasuredHost): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read();
        if (value === undefined) this.reset();
        else this.set(value);
      },
    });
  };
  const { mtu } = host;
  gauge('calico_host_mtu_bytes', 'MTU of the interface to other nodes that carries least', () => {
    return mtu.state?.host.mtu;
  });
  gauge('calico_pod_mtu_bytes', 'MTU of pods whose network configuration names none', () => {
    return mtu.state?.podMtu;
  });
  gauge('calico_mtu_mismatch', '1: what is configured does not fit through the interfaces', () =>
    mtu.state?.problem ? 1 : 0,
  );
  new Gauge({
    name: 'calico_path_mtu_bytes',
    help: 'Largest packet that reaches the node, of those that pods need; absent: it does not answer',
    labelNames: ['node'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [node, { verdict, needed }] of host.probe?.paths ?? []) {
        if (verdict.kind === 'whole') this.set({ node }, needed);
        if (verdict.kind === 'narrow') this.set({ node }, verdict.largest);
      }
    },
  });
  gauge(
    'calico_path_mtu_narrow',
    'Nodes that large packets do not reach',
    () =>
      host.probe &&
      [...host.probe.paths.values()].filter(({ verdict }) => verdict.kind === 'narrow').length,
  );
}
