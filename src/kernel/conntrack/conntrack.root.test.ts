// Flows made by hand in a namespace of our own, with the conntrack tool.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Ip } from '../../net/ip.ts';
import { inNetns, openNetns } from '../namespaces.io.ts';
import { openConnections, openFlowDeleter } from './conntrack.io.ts';
import { calledBy } from './flow.ts';

const NETNS = `ckt-flows-${process.pid}`;
const conntrack = (...args: readonly string[]): string =>
  execFileSync('nsenter', [`--net=/run/netns/${NETNS}`, 'conntrack', ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

before(() => execFileSync('ip', ['netns', 'add', NETNS]));
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));

const within = <T>(work: () => T): T => inNetns(openNetns(`/run/netns/${NETNS}`), work);
const deleteFlows = openFlowDeleter(within);

function flow(source: string, destination: string, port = 2, zone: readonly string[] = []): void {
  const ends = ['-s', source, '-d', destination, '-p', 'tcp', '--sport', '1', '--dport'];
  conntrack('-I', ...ends, `${port}`, '--state', 'ESTABLISHED', '--timeout', '100', ...zone);
}

test('an empty table is fine', () => deleteFlows(['10.1.1.1' as Ip]));

test('flows from and to the addresses go, others stay', async () => {
  flow('10.1.1.1', '10.2.2.2');
  flow('10.2.2.2', '10.1.1.1');
  flow('10.1.1.2', '10.2.2.2');
  flow('10.1.1.2', '10.2.2.2', 3, ['-w', '7']);
  flow('10.1.1.9', '10.2.2.2');
  flow('fd00::1', 'fd00::2');
  const addresses = ['10.1.1.1', '10.1.1.2', 'fd00::1', '10.9.9.9'] as Ip[];
  await deleteFlows(addresses);
  assert.match(conntrack('-L'), /^tcp .* src=10\.1\.1\.9 dst=10\.2\.2\.2 [^\n]*\n$/);
  assert.equal(conntrack('-L', '-f', 'ipv6'), '');
});

// Prints how many sockets a process in its own namespace has more after some rounds.
const ROUNDS_AT_HOME = `
  import { readdirSync, readlinkSync } from 'node:fs';
  import { deleteFlows, openConnections } from '${join(import.meta.dirname, 'conntrack.io.ts')}';
  const sockets = () => readdirSync('/proc/self/fd').filter((fd) => {
    try { return readlinkSync('/proc/self/fd/' + fd).startsWith('socket:'); } catch { return false; }
  }).length;
  const before = sockets();
  const { of } = openConnections();
  await deleteFlows(['10.1.1.1']);
  await Promise.all([...Array(5).fill('10.1.1.3').map((ip) => of([ip])), deleteFlows(['10.1.1.2'])]);
  const [one] = await of(['10.1.1.3']);
  for (let tries = 0; sockets() - before > 2 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(sockets() - before <= 2, one.destination);
  process.exit();`;

test('in the own namespace sockets are kept, few, and serve whoever comes', () => {
  conntrack('-F');
  for (const n of [1, 2, 3]) flow(`10.1.1.${n}`, '10.2.2.2');
  const argv = [`--net=/run/netns/${NETNS}`, process.execPath, '--input-type=module'];
  const printed = execFileSync('nsenter', [...argv, '-e', ROUNDS_AT_HOME], { encoding: 'utf8' });
  assert.equal(printed, 'true 10.2.2.2\n');
  assert.match(conntrack('-L'), /^tcp .* src=10\.1\.1\.3 dst=10\.2\.2\.2 [^\n]*\n$/);
});

test('a connection is read, cut, and freed again', async () => {
  conntrack('-F');
  const connections = openConnections(within);
  flow('10.1.1.1', '10.2.2.2');
  flow('fd00::1', 'fd00::2', 7);
  const addresses = ['10.2.2.2', 'fd00::1'] as Ip[];
  const live = await connections.of(addresses);
  const read = live.map(({ flow: _, reply: __, ...rest }) => rest);
  const tcp = { protocol: 6, sourcePort: 1, icmp: undefined, isRelated: false, tcp: 'open' };
  assert.deepEqual(read, [
    { ...tcp, source: '10.1.1.1', destination: '10.2.2.2', destinationPort: 2 },
    { ...tcp, source: 'fd00::1', destination: 'fd00::2', destinationPort: 7 },
  ]);
  assert.deepEqual(
    live.map(({ flow }) => calledBy(flow)),
    [
      { ip: '10.2.2.2', port: 2 },
      { ip: 'fd00::2', port: 7 },
    ],
  );
  await connections.cut(live);
  for (const family of ['ipv4', 'ipv6'])
    assert.match(conntrack('-L', '-f', family), /^tcp +6 1[12]\d\d SYN_SENT [^\n]*\n$/);
  const bars = await connections.of(addresses);
  assert.deepEqual(new Set(bars.map(({ tcp }) => tcp)), new Set(['opening']));
  await connections.delete(bars);
  assert.equal(conntrack('-L'), '');
});

test('how far a connection has come', async () => {
  conntrack('-F');
  const ends = ['-s', '10.1.1.1', '-d', '10.2.2.2', '--timeout', '100', '-p'];
  const states = [
    'SYN_SENT',
    'SYN_RECV',
    'ESTABLISHED',
    'FIN_WAIT',
    'LAST_ACK',
    'TIME_WAIT',
    'CLOSE',
  ];
  for (const [i, state] of states.entries())
    conntrack('-I', ...ends, 'tcp', '--sport', `${i + 1}`, '--dport', '80', '--state', state);
  conntrack('-I', ...ends, 'udp', '--sport', '8', '--dport', '80');
  const live = await openConnections(within).of(['10.2.2.2' as Ip]);
  const byPort = live.toSorted((a, b) => a.sourcePort - b.sourcePort).map(({ tcp }) => tcp);
  assert.deepEqual(byPort, ['opening', ...Array(4).fill('open'), 'over', 'over', undefined]);
});

test('many flows, more than one read', async () => {
  const ends = '-d 10.2.2.2 -p udp --sport 1 --dport 2 --timeout 100';
  const sources = Array.from({ length: 800 }, (_, i) => `10.3.${i >> 8}.${i & 255}`);
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-flows-'));
  writeFileSync(join(folder, 'flows'), sources.map((ip) => `-I -s ${ip} ${ends}\n`).join(''));
  conntrack('--load-file', join(folder, 'flows'));
  rmSync(folder, { recursive: true });
  await deleteFlows(['10.2.2.2' as Ip]);
  assert.equal(conntrack('-L'), '');
});

test('a namespace that is not there is an error', async () => {
  const nowhere = openFlowDeleter(() => {
    throw new Error('no such namespace');
  });
  await assert.rejects(nowhere(['10.1.1.1' as Ip]), /delete flows/);
});
