// The speaker's figures in Prometheus form, read from the live state when they are scraped. A peer that
// is gone leaves no series behind.
import { Counter, Gauge, type Registry } from '../../base/metrics.io.ts';
import type { PeerReport, SpeakerReport } from '../../bgp/status.ts';

const PEER_LABELS = ['peer', 'address', 'type', 'asn', 'family'] as const;
type PeerLabels = Record<(typeof PEER_LABELS)[number], string>;

const labelsOf = ({ name, address, type, asn, family }: PeerReport): PeerLabels => ({
  peer: name,
  address,
  type,
  asn: String(asn),
  family: `ipv${family}`,
});

type Report = () => SpeakerReport;
type Labelled = readonly (readonly [Record<string, string>, number])[];

/** Registers the figures of every session and of the routes that are missing in the kernel. */
export function measureSpeaker(registry: Registry, report: Report): void {
  const gauge = (name: string, help: string, labels: readonly string[], read: () => Labelled) => {
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const [values, figure] of read()) this.set(values, figure);
      },
    });
  };
  const perPeer = (name: string, help: string, read: (peer: PeerReport) => number): void =>
    gauge(name, help, PEER_LABELS, () => report().peers.map((p) => [labelsOf(p), read(p)]));
  perPeer('bgp_peer_up', '1 while the session is Established', ({ state }) =>
    state === 'established' ? 1 : 0,
  );
  perPeer('bgp_peer_prefixes_received', 'Prefixes held from the peer', (p) => p.prefixesIn);
  perPeer('bgp_peer_prefixes_advertised', 'Prefixes told to the peer', (p) => p.prefixesOut);
  perPeer(
    'bgp_peer_state_since_seconds',
    'Unix time at which the present state was entered',
    ({ since }) => Date.parse(since) / 1000,
  );
  gauge('bgp_peer_state', '1 for the state of the session', [...PEER_LABELS, 'state'], () =>
    report().peers.map((peer) => [{ ...labelsOf(peer), state: peer.state }, 1]),
  );
  gauge(
    'bgp_peer_last_error_info',
    'Why the last connection or attempt ended',
    [...PEER_LABELS, 'error'],
    () =>
      report().peers.flatMap((peer) =>
        peer.lastError === undefined ? [] : [[{ ...labelsOf(peer), error: peer.lastError }, 1]],
      ),
  );
  gauge('bfd_peer_up', '1 while the BFD session is Up', PEER_LABELS, () =>
    report().peers.flatMap((peer) =>
      peer.bfd ? [[labelsOf(peer), peer.bfd.state === 'up' ? 1 : 0]] : [],
    ),
  );
  gauge('bgp_routes_missing', 'Wanted routes that are not in the kernel', [], () => [
    [{}, report().routeProblems.length],
  ]);
  const counter = counterOf(registry, report);
  counter('bgp_peer_flaps_total', 'Ends of established sessions', ({ flaps }) => flaps);
  const failures = 'Losses of the peer that BFD has seen';
  counter('bfd_peer_failures_total', failures, ({ bfd }) => bfd?.failures);
}

const counterOf =
  (registry: Registry, report: Report) =>
  (name: string, help: string, read: (peer: PeerReport) => number | undefined): void => {
    new Counter({
      name,
      help,
      labelNames: [...PEER_LABELS],
      registers: [registry],
      collect() {
        this.reset();
        for (const peer of report().peers) {
          const count = read(peer);
          if (count !== undefined) this.inc(labelsOf(peer), count);
        }
      },
    });
  };
