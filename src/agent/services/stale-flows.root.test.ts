// UDP flows in a namespace of our own, made with the conntrack tool, through DNAT by hand.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { openConnections } from '../../kernel/conntrack/conntrack.io.ts';
import { inNetns, openNetns } from '../../kernel/namespaces.io.ts';
import { ip } from '../../net/ip.ts';
import { FlowPurge } from './flow-purge.io.ts';

const NETNS = `ckt-udp-${process.pid}`;
const conntrack = (...args: readonly string[]): string =>
  execFileSync('nsenter', [`--net=/run/netns/${NETNS}`, 'conntrack', ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
before(() => execFileSync('ip', ['netns', 'add', NETNS]));
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));

const within = <T>(work: () => T): T => inNetns(openNetns(`/run/netns/${NETNS}`), work);

/** From a source port to a place, and who answers. */
function flow(sport: number, to: string, port: number, answers: string, at: number): void {
  const [source, ends] = ['10.9.0.1', ['--timeout', '100', '-p', 'udp']];
  const original = ['-s', source, '-d', to, '--sport', `${sport}`, '--dport', `${port}`];
  const reply = ['-r', answers, '-q', source, '--reply-port-src', `${at}`];
  conntrack('-I', ...ends, ...original, ...reply, '--reply-port-dst', `${sport}`);
}

test('flows to endpoints that are gone, and from before there were any, are deleted; others stay', async () => {
  const purge = new FlowPurge({
    connections: openConnections(within),
    ownAddresses: () => [ip('10.0.0.5')],
    log: openLog('test', 'silent'),
  });
  const dns = (...ends: string[]) => ({
    addresses: new Map([['10.96.0.10:53', new Set(ends)]]),
    nodePorts: new Map([[30053, new Set(ends)]]),
  });
  await purge.written(dns('10.1.0.1:5353', '10.1.0.2:5353'));
  flow(1, '10.96.0.10', 53, '10.1.0.1', 5353);
  flow(2, '10.96.0.10', 53, '10.1.0.2', 5353);
  flow(3, '10.96.0.10', 53, '10.96.0.10', 53);
  flow(4, '10.0.0.5', 30053, '10.1.0.1', 5353);
  flow(5, '10.0.0.5', 30054, '10.1.0.1', 5353);
  flow(6, '10.96.0.11', 53, '10.1.0.1', 5353);
  await purge.written(dns('10.1.0.2:5353'));
  const left = [...conntrack('-L').matchAll(/sport=(\d) /g)].map(([, port]) => port);
  assert.deepEqual(left.sort(), ['2', '5', '6']);
  assert.equal(purge.purged, 3);
});
