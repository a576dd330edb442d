// The chains, and the hooks in the kernel's own, that are there without any service, as in 2018.
import type { ChainRules } from '../../kernel/tables.ts';
import type { WantedTables } from '../write/writer.io.ts';
import { guardChain, guardTable, TO_SHARED } from './localnet.ts';
import { hook, LAST, NEW } from './modern-fixed.ts';
import { comment, type RenderOptions } from './rules.ts';

const NEW_PORTALS = hook('KUBE-SERVICES', 'kubernetes service portals', NEW);
const EXTERNAL = hook(
  'KUBE-EXTERNAL-SERVICES',
  'kubernetes externally-visible service portals',
  NEW,
);
// kubelet kept KUBE-FIREWALL then; today it has another meaning, so what is marked ends in a chain of
// ours.
const MARKED = hook('KUBE-PROXY-FIREWALL', 'kubernetes firewall for dropping marked packets');
/** Bit 15, as kubelet's was. */
const DROP_MARK = '0x8000';

const FILTER_HOOKS: ReadonlyMap<string, ChainRules> = new Map([
  ['INPUT', [MARKED, EXTERNAL]],
  ['FORWARD', [MARKED, hook('KUBE-FORWARD', 'kubernetes forwarding rules'), NEW_PORTALS, EXTERNAL]],
  ['OUTPUT', [MARKED, NEW_PORTALS]],
]);

const GUARDED_HOOKS: ReadonlyMap<string, ChainRules> = new Map([
  ...FILTER_HOOKS,
  ['INPUT', [TO_SHARED, ...FILTER_HOOKS.get('INPUT')!]],
]);

const NAT_HOOKS: ReadonlyMap<string, ChainRules> = new Map([
  ['PREROUTING', [hook('KUBE-SERVICES', 'kubernetes service portals')]],
  ['OUTPUT', [hook('KUBE-SERVICES', 'kubernetes service portals')]],
  ['POSTROUTING', [hook('KUBE-POSTROUTING', 'kubernetes postrouting rules')]],
]);

/** As {@link renderModernFixed}: an empty list for each kind of rule that services add. */
export function render2018Fixed(options: RenderOptions): WantedTables {
  const { mark, clusterCidr, nodePortAddresses, localhostNodePorts } = options;
  const marked = `-m mark --mark ${mark}/${mark}`;
  const established = '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
  const pods = (side: string, option: string): readonly string[] =>
    clusterCidr
      ? [
          `${option} ${clusterCidr} ${comment(`kubernetes forwarding conntrack pod ${side} rule`)} ${established}`,
        ]
      : [];
  const nodePorts = nodePortAddresses?.map((ip) => `${LAST} -d ${ip} -j KUBE-NODEPORTS`) ?? [
    `${LAST} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
  ];
  const filter = new Map<string, ChainRules>([
    ['KUBE-SERVICES', []],
    ['KUBE-EXTERNAL-SERVICES', []],
    [
      'KUBE-FORWARD',
      [
        `${comment('kubernetes forwarding rules')} ${marked} -j ACCEPT`,
        ...pods('source', '-s'),
        ...pods('destination', '-d'),
      ],
    ],
    ['KUBE-NODEPORTS', []],
    ['KUBE-PROXY-FIREWALL', [`-m mark --mark ${DROP_MARK}/${DROP_MARK} -j DROP`]],
    ...(localhostNodePorts ? guardChain(options).chains : []),
  ]);
  const nat = new Map<string, ChainRules>([
    ['KUBE-SERVICES', nodePorts],
    ['KUBE-NODEPORTS', []],
    [
      'KUBE-POSTROUTING',
      [`${comment('kubernetes service traffic requiring SNAT')} ${marked} -j MASQUERADE`],
    ],
    ['KUBE-MARK-MASQ', [`-j MARK --or-mark ${mark}`]],
    ['KUBE-MARK-DROP', [`-j MARK --or-mark ${DROP_MARK}`]],
  ]);
  return {
    filter: {
      chains: filter,
      hooks: localhostNodePorts ? GUARDED_HOOKS : FILTER_HOOKS,
      inOrder: true,
    },
    nat: { chains: nat, hooks: NAT_HOOKS, inOrder: true },
    ...guardTable(options),
  };
}
