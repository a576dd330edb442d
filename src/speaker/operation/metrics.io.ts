// The speaker's figures in Prometheus form, read from the live state when they are scraped. A peer that
// is gone leaves no series behind.
import { Counter, Gauge, Histogram, type Registry } from '../../base/metrics.io.ts';
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
  for (const way of ['received', 'sent'] as const)
    counterByType(registry, report, `bgp_peer_messages_${way}_total`, way);
  const failures = 'Losses of the peer that BFD has seen';
  counter('bfd_peer_failures_total', failures, ({ bfd }) => bfd?.failures);
}

function counterByType(
  registry: Registry,
  report: Report,
  name: string,
  way: 'received' | 'sent',
): void {
  new Counter({
    name,
    help: `BGP messages ${way}, by type`,
    labelNames: [...PEER_LABELS, 'message'],
    registers: [registry],
    collect() {
      this.reset();
      for (const peer of report().peers)
        for (const [message, count] of Object.entries(peer.messages[way]))
          this.inc({ ...labelsOf(peer), message }, count);
    },
  });
}

/** From the first UPDATE after quiet to the last route in the kernel; answers how to tell it. */
export function measureConvergence(registry: Registry): (seconds: number) => void {
  const histogram = new Histogram({
    name: 'bgp_convergence_seconds',
    help: 'From the first UPDATE of a burst until its routes are in the kernel and told to all peers',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
  return (seconds) => histogram.observe(seconds);
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
