// Flows made by hand in a namespace of our own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openFlowDeleter } from './conntrack.io.ts';

const NETNS = `ckt-flows-${process.pid}`;
const inside = ['nsenter', `--net=/run/netns/${NETNS}`, 'conntrack'];
const conntrack = (...args: readonly string[]): string =>
  execFileSync(inside[0]!, [...inside.slice(1), ...args], { encoding: 'utf8', stdio: 'pipe' });

before(() => execFileSync('ip', ['netns', 'add', NETNS]));
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));

function flow(source: string, destination: string): void {
  const ends = ['-s', source, '-d', destination, '-p', 'tcp', '--sport', '1', '--dport', '2'];
  conntrack('-I', ...ends, '--state', 'ESTABLISHED', '--timeout', '100');
}

test('flows from and to the addresses go, others stay', async () => {
  flow('10.1.1.1', '10.2.2.2');
  flow('10.2.2.2', '10.1.1.1');
  flow('10.1.1.2', '10.2.2.2');
  flow('10.1.1.9', '10.2.2.2');
  flow('fd00::1', 'fd00::2');
  const deleteFlows = openFlowDeleter(inside);
  const addresses = ['10.1.1.1', '10.1.1.2', 'fd00::1', '10.9.9.9'];
  await Promise.all(addresses.map(deleteFlows));
  assert.match(conntrack('-L'), /^tcp .* src=10\.1\.1\.9 dst=10\.2\.2\.2 [^\n]*\n$/);
  assert.equal(conntrack('-L', '-f', 'ipv6'), '');
});

test('a tool that cannot run is an error', async () => {
  await assert.rejects(openFlowDeleter(['/nonexistent'])('10.1.1.1'), /delete flows/);
});
