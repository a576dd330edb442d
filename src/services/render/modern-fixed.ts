// The chains, and the hooks in the kernel's own, that are there without any service.
import type { ChainRules } from '../../kernel/tables.ts';
import type { WantedTables } from '../write/writer.io.ts';
import { guardChain, guardTable, LOOPBACK, TO_SHARED } from './localnet.ts';
import { comment, type RenderOptions } from './rules.ts';

export const NEW = '-m conntrack --ctstate NEW';
/** A rule in one of the kernel's chains. */
export const hook = (to: string, words: string, match = ''): string =>
  [match, comment(words), `-j ${to}`].filter(Boolean).join(' ');

const portals = hook('KUBE-SERVICES', 'kubernetes service portals');
const newPortals = hook('KUBE-SERVICES', 'kubernetes service portals', NEW);
const external = hook(
  'KUBE-EXTERNAL-SERVICES',
  'kubernetes externally-visible service portals',
  NEW,
);
const firewall = hook('KUBE-PROXY-FIREWALL', 'kubernetes load balancer firewall', NEW);

/** Each was put first in turn (iptablesJumpChains), so that the last stands first. */
const FILTER_HOOKS: ReadonlyMap<string, ChainRules> = new Map([
  [
    'INPUT',
    [
      TO_SHARED,
      firewall,
      hook('KUBE-NODEPORTS', 'kubernetes health check service ports'),
      external,
    ],
  ],
  [
    'FORWARD',
    [firewall, hook('KUBE-FORWARD', 'kubernetes forwarding rules'), newPortals, external],
  ],
  ['OUTPUT', [TO_SHARED, firewall, newPortals]],
]);

const NAT_HOOKS: ReadonlyMap<string, ChainRules> = new Map([
  ['PREROUTING', [portals]],
  ['OUTPUT', [portals]],
  ['POSTROUTING', [hook('KUBE-POSTROUTING', 'kubernetes postrouting rules')]],
]);

export const LAST = comment(
  'kubernetes service nodeports; NOTE: this must be the last rule in this chain',
);

/** With an empty list for each kind of rule that services add; nat's entry ends as it must. */
export function renderModernFixed(options: RenderOptions): WantedTables {
  const { mark, dropsInvalid } = options;
  const filter = new Map<string, ChainRules>([
    ['KUBE-SERVICES', []],
    ['KUBE-EXTERNAL-SERVICES', []],
    [
      'KUBE-FORWARD',
      [
        ...(dropsInvalid ? ['-m conntrack --ctstate INVALID -j DROP'] : []),
        `${comment('kubernetes forwarding rules')} -m mark --mark ${mark}/${mark} -j ACCEPT`,
        `${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      ],
    ],
    ['KUBE-NODEPORTS', []],
    ['KUBE-PROXY-FIREWALL', []],
    ...guardChain(options).chains,
  ]);
  const nat = new Map<string, ChainRules>([
    ['KUBE-SERVICES', nodePortRules(options)],
    ['KUBE-NODEPORTS', []],
    [
      'KUBE-POSTROUTING',
      [
        `-m mark ! --mark ${mark}/${mark} -j RETURN`,
        `-j MARK --xor-mark ${mark}`,
        `${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
      ],
    ],
    ['KUBE-MARK-MASQ', [`-j MARK --or-mark ${mark}`]],
  ]);
  return {
    filter: { chains: filter, hooks: FILTER_HOOKS, ensured: guardChain(options).ensured },
    nat: { chains: nat, hooks: NAT_HOOKS },
    ...guardTable(options),
  };
}

function nodePortRules(options: RenderOptions): ChainRules {
  const { family, nodePortAddresses, localhostNodePorts } = options;
  const own = nodePortAddresses?.map((ip) => `${LAST} -d ${ip} -j KUBE-NODEPORTS`);
  const outside = localhostNodePorts ? '' : `! -d ${family === 6 ? '::1/128' : LOOPBACK} `;
  return own ?? [`${LAST} -m addrtype --dst-type LOCAL ${outside}-j KUBE-NODEPORTS`];
}
