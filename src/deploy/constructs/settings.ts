// What follows from the settings and is needed by more than one construct.
import type { Values } from '../../model/settings/schema.ts';
import type { Of } from '../helm/expr.ts';
import { choose, eq, isOn, join, str, sub } from '../helm/functions.ts';
import type { Cfg } from '../helm/reading.ts';

export type Settings = Cfg<Values>;

/** Prefix length of an IPAM block. */
export const BLOCK_SIZE = '26';
const IPIP_HEADER_BYTES = 20;

/** Where the agent writes sysctls: its own /proc/sys is read-only without full privileges. */
export const PROC_SYS_NET = { name: 'CALICO_PROC_SYS_NET', value: '/host/proc/sys/net' };

/** MTU of pod interfaces: the physical one, less the outer header where IP-in-IP may be used. */
export function effectiveMtu({ networking }: Settings): Of<number> {
  const plain = eq(networking.settings.ippool.ipip.mode, 'Never');
  return choose(plain, networking.mtu, sub(networking.mtu, IPIP_HEADER_BYTES));
}

/** URLs of the datastore: the user's own, else those of Service calico-etcd. */
export function etcdEndpoints({ etcd }: Settings): Of<string> {
  const serviceUrl = join('http://', etcd.clusterIP, ':', etcd.port);
  return choose(eq(etcd.endpoints, ''), serviceUrl, etcd.endpoints);
}

/** `true` or `false` for a switch. */
export const switchText = (value: Parameters<typeof isOn>[0]): Of<string> => str(isOn(value));
