// `node status` and `bgp peers`: the sessions of this node's speaker, in calicoctl's columns.
import { infoOf, type PeerReport, protocolState, type SpeakerReport } from '../../bgp/status.ts';
import type { Family } from '../../net/ip.ts';
import { boxTable, type Output } from '../output.ts';

/** calicoctl's text; IPv4 first. `now` decides whether SINCE is a time or a date. */
export function nodeStatus(report: SpeakerReport, now: Date): Output {
  return {
    data: report,
    lines: [
      'Calico process is running.',
      ...([4, 6] as const).flatMap((family) => ['', ...familyLines(report.peers, family, now)]),
    ],
  };
}

/** What is printed when nobody answers: ends with 1. */
export const notRunning: Output = {
  data: null,
  lines: ['Calico process is not running.'],
  failed: true,
};

function familyLines(peers: readonly PeerReport[], family: Family, now: Date): readonly string[] {
  const mine = peers.filter((peer) => peer.family === family);
  if (mine.length === 0) return [`IPv${family} BGP status`, `No IPv${family} peers found.`];
  const rows = mine.map((peer) => [
    peer.address,
    peer.type,
    protocolState(peer),
    sinceOf(new Date(peer.since), now),
    infoOf(peer),
  ]);
  const headings = ['PEER ADDRESS', 'PEER TYPE', 'STATE', 'SINCE', 'INFO'];
  return [`IPv${family} BGP status`, ...boxTable(headings, rows)];
}

/** Everything that `node status` has no column for. */
export function bgpPeers(report: SpeakerReport): Output {
  const rows = report.peers.map((peer) => [
    peer.name,
    `${peer.address}${peer.port === BGP_PORT ? '' : `:${peer.port}`}`,
    peer.node ?? peer.workload ?? '',
    String(peer.asn),
    infoOf(peer),
    String(peer.prefixesIn),
    String(peer.prefixesOut),
    String(peer.flaps),
    bfdOf(peer),
  ]);
  const headings = ['NAME', 'ADDRESS', 'NODE', 'ASN', 'STATE', 'IN', 'OUT', 'FLAPS', 'BFD'];
  return {
    data: report.peers,
    lines: [
      ...boxTable(headings, rows, ['ASN', 'IN', 'OUT', 'FLAPS']),
      ...report.routeProblems.map((problem) => `route missing: ${problem}`),
      ...report.problems.map((problem) => `not done: ${problem}`),
    ],
  };
}

// `Up`, or what it is instead and why.
function bfdOf({ bfd }: PeerReport): string {
  if (!bfd) return '';
  const word = { adminDown: 'AdminDown', down: 'Down', init: 'Init', up: 'Up' }[bfd.state];
  return bfd.cause && bfd.state !== 'up' ? `${word} ${bfd.cause}` : word;
}

const BGP_PORT = 179;

// In the time zone of who asks, as calicoctl does.
function sinceOf(since: Date, now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  if (since.toDateString() === now.toDateString())
    return [since.getHours(), since.getMinutes(), since.getSeconds()].map(two).join(':');
  return `${since.getFullYear()}-${two(since.getMonth() + 1)}-${two(since.getDate())}`;
}
