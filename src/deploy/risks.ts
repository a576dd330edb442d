// What a valid set of settings may still do to a cluster. The same list is printed after
// `cdk8s synth` and by the chart's NOTES.txt.
import type { Settings } from './constructs/settings.ts';
import type { Of } from './helm/expr.ts';
import { and, entryOf, eq, isOn, not, or, str } from './helm/functions.ts';

export interface Risk {
  readonly present: Of<boolean>;
  readonly text: string;
}

/** Neither mesh nor reflectors. */
function isAlone({ settings, bgp }: Settings['networking']): Of<boolean> {
  const { per_zone, node_selector } = bgp.route_reflectors;
  const hasReflectors = or(not(eq(str(per_zone), '0')), not(eq(node_selector, '')));
  return and(not(isOn(settings.mesh)), not(hasReflectors));
}

export function risksOf({ networking, etcd, conf }: Settings): readonly Risk[] {
  const { ippool } = networking.settings;
  const hasSpeaker = eq(entryOf(conf.node, 'CALICO_NETWORKING_BACKEND', 'bird'), 'bird');
  const legacyMethod = entryOf(conf.node, 'IPV6_AUTODETECTION_METHOD', '');
  return [
    {
      present: not(eq(ippool.ipip.mode, 'Never')),
      text:
        'networking.settings.ippool.ipip.mode needs the kernel module ipip on every node; ' +
        'set Never where the nodes share a network that routes pod addresses, or vxlan.mode, ' +
        'which needs the module vxlan.',
    },
    {
      present: and(not(hasSpeaker), eq(ippool.vxlan.mode, 'Never')),
      text:
        'conf.node.CALICO_NETWORKING_BACKEND leaves routes to nobody, and pods of ' +
        'networking.podSubnet are not in VXLAN: they reach only pods of their own node.',
    },
    {
      present: and(and(hasSpeaker, eq(ippool.vxlan.mode, 'Never')), isAlone(networking)),
      text:
        'networking.settings.mesh is off: nodes exchange no routes, so pods reach only pods ' +
        'of their own node until BGP peers are configured.',
    },
    {
      present: not(isOn(ippool.nat_outgoing)),
      text:
        'networking.settings.ippool.nat_outgoing is off: pods reach only networks that know ' +
        'a route back to networking.podSubnet.',
    },
    {
      present: isOn(ippool.disabled),
      text: 'networking.settings.ippool.disabled is on: new pods get no address.',
    },
    {
      present: and(and(etcd.enabled, eq(etcd.endpoints, '')), eq(etcd.members, 1)),
      text:
        'calico-etcd is one member on one control-plane node, and its data is lost with the node. ' +
        'Set etcd.members to 3, etcd.snapshots.schedule, or etcd.endpoints.',
    },
    {
      present: and(
        and(etcd.enabled, eq(etcd.endpoints, '')),
        and(eq(etcd.tls.secret, ''), eq(etcd.tls.mode, 'secret')),
      ),
      text:
        'calico-etcd is reached without TLS: whoever reaches its port may change routes and ' +
        'policies; set etcd.tls.mode to generate, or etcd.tls.secret.',
    },
    {
      present: not(eq(legacyMethod, '')),
      text:
        'conf.node.IPV6_AUTODETECTION_METHOD is an older spelling; write ' +
        'IP6_AUTODETECTION_METHOD.',
    },
  ];
}
