// Our speaker as the device under test: sessions, sockets and the routing table as the program has
// them, without a datastore and without kernel routes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../../../src/base/clock.io.ts';
import { openLog } from '../../../src/base/log.io.ts';
import { type DesiredPeer, PEER_DEFAULTS } from '../../../src/bgp/peers.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { cidr } from '../../../src/net/cidr.ts';
import { ip } from '../../../src/net/ip.ts';
import { Exchange } from '../../../src/speaker/exchange.io.ts';
import { Listeners } from '../../../src/speaker/listeners.io.ts';
import { Peering } from '../../../src/speaker/peering.io.ts';
import { Peerings } from '../../../src/speaker/peerings.io.ts';
import { threadCpuMs } from '../thread-cpu.ts';
import { DELAYS_FILE, type DeviceDelays } from './delays.ts';
import type { FeederPlan } from './feeder.ts';

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
const listeners = new Listeners(log, (socket, peer) => peerings.accept(socket, peer));
listeners.reconcile(new Set([address]), 179, peers);
peerings.reconcile(peers, address);

const SLICE_MS = 5;
const measured = { sliceMax: 0, messageMax: 0, sliceCpuMax: 0, messageCpuMax: 0 };
const counted = { slices: 0, slicesLong: 0 };
const timed = <A extends unknown[], R>(what: 'slice' | 'message', call: (...args: A) => R) => {
  return (...args: A): R => {
    const [began, cpuBegan] = [performance.now(), threadCpuMs()];
    const result = call(...args);
    const cpu = threadCpuMs() - cpuBegan;
    measured[`${what}Max`] = Math.max(measured[`${what}Max`], performance.now() - began);
    measured[`${what}CpuMax`] = Math.max(measured[`${what}CpuMax`], cpu);
    if (what === 'slice') {
      counted.slices += 1;
      if (cpu > SLICE_MS) counted.slicesLong += 1;
    }
    return result;
  };
};
const { table } = exchange;
table.work = timed('slice', table.work.bind(table));
table.receive = timed('message', table.receive.bind(table));
let queuedMax = 0;
const { sendBytes } = Peering.prototype;
Peering.prototype.sendBytes = function (this: Peering, bytes): void {
  sendBytes.call(this, bytes);
  queuedMax = Math.max(queuedMax, this.queuedOctets);
};
const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
process.once('SIGTERM', () => {
  const [loopMax, loopP99] = [loop.max / 1e6, loop.percentile(99) / 1e6];
  const delays: DeviceDelays = { loopMax, loopP99, ...measured, ...counted, queuedMax };
  writeFileSync(join(process.argv[3]!, DELAYS_FILE), JSON.stringify(delays));
  process.exit(0);
});
