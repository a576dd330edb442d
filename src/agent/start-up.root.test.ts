// Detection on a real kernel: a machine with two networks, in a namespace of its own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openKernel } from '../kernel/netns.io.ts';
import { detectAddress, parseDetectionMethod } from './start-up/autodetect.ts';

const NETNS = `ckt-start-${process.pid}`;
const ip = (...args: readonly string[]): void => void execFileSync('ip', args);

before(() => {
  ip('netns', 'add', NETNS);
  const commands = [
    'link set lo up',
    'link add enp0s3 type veth peer name far0',
    'link add enp0s8 type veth peer name far1',
    'link add docker0 type bridge',
    'address add 10.0.2.6/24 dev enp0s3',
    'address add 192.168.81.101/24 dev enp0s8',
    'address add 172.17.0.1/16 dev docker0',
    ...['enp0s3', 'far0', 'enp0s8', 'far1', 'docker0'].map((name) => `link set ${name} up`),
  ];
  for (const command of commands) ip('-n', NETNS, ...command.split(' '));
});
after(() => ip('netns', 'delete', NETNS));

test('first-found takes the second network, the other methods what they name', () => {
  const kernel = openKernel();
  const inside = kernel.enter(`/run/netns/${NETNS}`);
  const detect = (text: string): string | undefined => {
    const method = parseDetectionMethod(text);
    assert.ok(method.ok);
    const around = { links: inside.links(), addresses: inside.addresses() };
    const found = detectAddress(method.value, 4, around);
    return found.ok ? `${found.value.address.ip}/${found.value.address.prefixLength}` : undefined;
  };
  assert.equal(detect('first-found'), '192.168.81.101/24');
  assert.equal(detect('skip-interface=enp0s8'), '10.0.2.6/24');
  assert.equal(detect('interface=docker.*'), '172.17.0.1/16');
  assert.equal(detect('cidr=10.0.0.0/8'), '10.0.2.6/24');
  inside.close();
  kernel.close();
});
