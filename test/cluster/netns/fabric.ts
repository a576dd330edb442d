// The network between the machines: one namespace with a bridge, and a namespace per machine whose
// eth0 hangs on it. Both ends of every veth are made inside namespaces; the fabric forwards nothing.
import { command, tryCommand } from '../command.ts';
import { FABRIC_ADDRESS, inNetns, netnsOf, PREFIX } from './layout.ts';

const ip = (machine: string, ...args: string[]): Promise<string> =>
  command(['ip', '-n', netnsOf(machine), ...args]);

export async function makeFabric(): Promise<void> {
  await command(['ip', 'netns', 'add', netnsOf('fab')]);
  await ip('fab', 'link', 'set', 'lo', 'up');
  await ip('fab', 'link', 'add', 'br0', 'type', 'bridge');
  await ip('fab', 'addr', 'add', `${FABRIC_ADDRESS}/24`, 'dev', 'br0');
  await ip('fab', 'link', 'set', 'br0', 'up');
  await sysctl('fab', 'net.ipv4.ip_forward=0');
  // Frames between machines must not meet the fabric's own packet filter.
  await trySysctl('fab', 'net.bridge.bridge-nf-call-iptables=0');
}

/** A machine's namespace with eth0 on the fabric. */
export async function makeMachine(machine: string, address: string): Promise<void> {
  await command(['ip', 'netns', 'add', netnsOf(machine)]);
  await ip(
    'fab',
    'link',
    'add',
    `p-${machine}`,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    netnsOf(machine),
  );
  await ip('fab', 'link', 'set', `p-${machine}`, 'master', 'br0', 'up');
  await ip(machine, 'link', 'set', 'lo', 'up');
  await ip(machine, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
  await ip(machine, 'link', 'set', 'eth0', 'up');
  // kube-proxy translates a service address after the route lookup: without a default route it
  // would be unreachable.
  await ip(machine, 'route', 'add', 'default', 'via', FABRIC_ADDRESS);
  await sysctl(machine, 'net.ipv4.ip_forward=1');
  await trySysctl(machine, 'net.bridge.bridge-nf-call-iptables=1');
}

export const sysctl = (machine: string, setting: string): Promise<string> =>
  command([...inNetns(machine), 'sysctl', '-qw', setting]);
const trySysctl = (machine: string, setting: string) =>
  tryCommand([...inNetns(machine), 'sysctl', '-qw', setting]);

const MACHINE = new RegExp(`^${PREFIX}-(fab|cp|n\\d+)$`);

/** Removes every namespace of the cluster. */
export async function removeMachines(): Promise<void> {
  const names = (await command(['ip', 'netns', 'list']))
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
  for (const name of names.filter((n) => MACHINE.test(n)))
    await tryCommand(['ip', 'netns', 'delete', name]);
}
