// Our speaker as the device under test: sessions, sockets and the routing table as the program has
// them, without a datastore and without kernel routes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.io.ts';
import { openLog } from '../../../src/base/log.io.ts';
import { type DesiredPeer, PEER_DEFAULTS } from '../../../src/bgp/peers.ts';
import { warmUp } from '../../../src/bgp/warm-up.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { cidr } from '../../../src/net/cidr.ts';
import { ip } from '../../../src/net/ip.ts';
import { Exchange } from '../../../src/speaker/exchange.io.ts';
import { Listeners } from '../../../src/speaker/listeners.io.ts';
import { Peerings } from '../../../src/speaker/peerings.io.ts';
import { inTurns } from '../../../src/speaker/turns.io.ts';
import { DELAYS_FILE, WATCHED } from './delays.ts';
import type { FeederPlan } from './feeder.ts';
import { watch } from './watch.ts';

const plan = JSON.parse(process.argv[2]!) as FeederPlan & { readonly reflector: boolean };
const log = openLog('bgp', process.env['LOG_LEVEL'] ?? 'warn');
const address = ip(plan.device);
const localAsn = plan.deviceAsn as Asn;
const peers: readonly DesiredPeer[] = plan.peers.map((peer) => ({
  ...PEER_DEFAULTS,
  name: peer.address,
  kind: 'global',
  address: ip(peer.address),
  port: 179,
  asn: peer.asn as Asn,
  localAsn,
  localAddress: address,
  family: 4,
  families: [4],
  passive: true,
  ...(plan.reflector ? { reflectorClient: true, clusterId: ip('1.0.0.1') } : {}),
}));

const exchange = new Exchange({
  clock: systemClock,
  session: (key) => peerings.at(key)?.peering,
});
const peerings = new Peerings({
  forwardingPreserved: () => false,
  clock: systemClock,
  log,
  random: Math.random,
  holdTimeSeconds: plan.holdTimeSeconds,
  listener: (running) => ({
    established: (negotiated) => exchange.up(running.key, running.peer, address, negotiated),
    update: (body) => {
      const { reset } = exchange.receive(running.key, body);
      if (reset) running.peering.reject(reset);
    },
    refresh: (family, subtype) => exchange.refresh(running.key, family, subtype),
    down: (error, keeps) => {
      running.log.warn({ error }, 'down');
      exchange.down(running.key, keeps);
    },
  }),
  changed: ({ key, peer }) => exchange.setPeer(key, peer),
  ended: (key) => exchange.removePeer(key),
});
exchange.setIdentity({ asn: localAsn, routerId: address, addresses: [address] });
exchange.table.setPools([{ cidr: cidr('0.0.0.0/0'), disabled: false, disableBgpExport: false }]);
// As the program starts.
await inTurns(warmUp());
const listeners = new Listeners(log, (socket, peer) => peerings.accept(socket, peer));
listeners.reconcile(new Set([address]), 179, peers);
peerings.reconcile(peers, address);

const delays = process.argv[4] === WATCHED ? watch(exchange) : undefined;
process.once('SIGTERM', () => {
  if (delays) writeFileSync(join(process.argv[3]!, DELAYS_FILE), JSON.stringify(delays()));
  process.exit(0);
});
