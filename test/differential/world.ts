// Random worlds: three pods of two namespaces with policies of every kind. A world is made of values
// with the meaning of each selector beside its text, so that the reference needs no parser.
import type { Chance } from './chance.ts';

export interface Labels {
  readonly [name: string]: string;
}

export interface SelectorCase {
  readonly text: string;
  readonly holds: (labels: Labels) => boolean;
}

export interface WorldPod {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly labels: Labels;
  readonly webPort: number;
  /** Its service account, `role` being that one's label. */
  readonly account: string;
  readonly role: string;
}

export interface WorldSide {
  readonly selector?: SelectorCase;
  readonly notSelector?: SelectorCase;
  /** Of the namespace's own labels. */
  readonly namespaceSelector?: SelectorCase;
  readonly serviceAccounts?: { readonly names?: readonly string[]; readonly role?: string };
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  readonly ports?: readonly (number | string)[];
  readonly notPorts?: readonly (number | string)[];
  /** Instead of all others. */
  readonly services?: { readonly name: string; readonly namespace: string };
}

/** A service's endpoints in one slice: addresses of one family. */
export interface WorldSlice {
  readonly service: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly ports: readonly { readonly protocol: 'TCP' | 'UDP'; readonly port: number }[];
}

export interface WorldRule {
  readonly action: 'Allow' | 'Deny' | 'Pass' | 'Log';
  readonly protocol?: 'TCP' | 'UDP';
  readonly notProtocol?: 'TCP' | 'UDP';
  readonly ipVersion?: 4 | 6;
  readonly source: WorldSide;
  readonly destination: WorldSide;
}

export interface WorldPolicy {
  readonly name: string;
  /** Undefined: a GlobalNetworkPolicy. */
  readonly namespace: string | undefined;
  readonly tier: string;
  readonly order: number;
  readonly selector: SelectorCase;
  readonly types: readonly ('Ingress' | 'Egress')[];
  readonly ingress: readonly WorldRule[];
  readonly egress: readonly WorldRule[];
}

export interface WorldNamespace {
  readonly name: string;
  readonly labels: Labels;
  readonly ingress: readonly WorldRule[];
  readonly egress: readonly WorldRule[];
}

export interface WorldSet {
  readonly labels: Labels;
  readonly nets: readonly string[];
}

export interface RandomWorld {
  readonly pods: readonly WorldPod[];
  readonly namespaces: readonly WorldNamespace[];
  readonly tiers: readonly { name: string; order: number; defaultAction: 'Deny' | 'Pass' }[];
  readonly slices: readonly WorldSlice[];
  /** Of Log rules; must not change any verdict. */
  readonly felix: object;
  readonly policies: readonly WorldPolicy[];
  readonly sets: readonly WorldSet[];
}

export const PORTS = [80, 443, 1000, 8080] as const;
const APPS = ['web', 'db'] as const;
const TEAMS = ['red', 'blue'] as const;

const all: SelectorCase = { text: 'all()', holds: () => true };

function term(chance: Chance, name: string, values: readonly string[]): SelectorCase {
  const value = chance.pick(values);
  return chance.pick<SelectorCase>([
    { text: `${name} == '${value}'`, holds: (l) => l[name] === value },
    { text: `${name} != '${value}'`, holds: (l) => l[name] !== value },
    { text: `has(${name})`, holds: (l) => l[name] !== undefined },
    { text: `!has(${name})`, holds: (l) => l[name] === undefined },
    { text: `${name} in {'${value}', 'none'}`, holds: (l) => l[name] === value },
    { text: `${name} not in {'${value}'}`, holds: (l) => l[name] !== value },
    { text: `${name} starts with '${value[0]}'`, holds: (l) => l[name]?.[0] === value[0] },
  ]);
}

function selector(chance: Chance): SelectorCase {
  if (chance.of(0.15)) return all;
  const one = term(chance, 'app', APPS);
  if (chance.of(0.6)) return one;
  const other = term(chance, 'level', ['1', '2']);
  return chance.of(0.5)
    ? { text: `${one.text} && ${other.text}`, holds: (l) => one.holds(l) && other.holds(l) }
    : { text: `(${one.text} || ${other.text})`, holds: (l) => one.holds(l) || other.holds(l) };
}

const NETS = ['10.65.0.0/16', '10.65.0.2/31', '10.65.0.4/32', '10.66.0.0/16', 'fd00:65::2/127'];
const V6_NETS = ['fd00:65::/64', 'fd00:65::4/128', 'fd00:66::/64'];

const ACCOUNTS = ['default', 'probe'];
const ROLES = ['admin', 'user'];
const accounts = (chance: Chance) => ({
  ...(chance.of(0.6) ? { names: chance.some(ACCOUNTS, 2) } : { role: chance.pick(ROLES) }),
  ...(chance.of(0.2) ? { role: chance.pick(ROLES) } : {}),
});

const service = (chance: Chance) => ({
  name: chance.pick(['web', 'db', 'absent']),
  namespace: chance.pick(['ns1', 'ns2']),
});

function side(chance: Chance, ports: boolean, isTcp: boolean): WorldSide {
  const nets = () => chance.some([...NETS, ...V6_NETS], 3);
  const portList = () =>
    chance.some<number | string>([...PORTS, '400:500', ...(isTcp ? ['web'] : [])], 3);
  if (chance.of(0.1)) return { services: service(chance) };
  return {
    ...(chance.of(0.4) ? { selector: selector(chance) } : {}),
    ...(chance.of(0.1) ? { notSelector: selector(chance) } : {}),
    ...(chance.of(0.2) ? { namespaceSelector: term(chance, 'team', TEAMS) } : {}),
    ...(chance.of(0.1) ? { serviceAccounts: accounts(chance) } : {}),
    ...(chance.of(0.2) ? { nets: nets() } : {}),
    ...(chance.of(0.15) ? { notNets: nets() } : {}),
    ...(ports && chance.of(0.5) ? { ports: portList() } : {}),
    ...(ports && chance.of(0.15) ? { notPorts: chance.some<number>([...PORTS], 2) } : {}),
  };
}

function rule(chance: Chance): WorldRule {
  const protocol = chance.of(0.7) ? chance.pick(['TCP', 'UDP'] as const) : undefined;
  return {
    action: chance.pick(['Allow', 'Allow', 'Allow', 'Deny', 'Deny', 'Pass', 'Log'] as const),
    ...(protocol ? { protocol } : chance.of(0.2) ? { notProtocol: 'TCP' as const } : {}),
    ...(chance.of(0.1) ? { ipVersion: chance.pick([4, 6] as const) } : {}),
    source: side(chance, false, false),
    destination: side(chance, protocol !== undefined, protocol === 'TCP'),
  };
}

const accountOf = (account: string, roles: readonly string[]) => ({
  account,
  role: roles[ACCOUNTS.indexOf(account)]!,
});

const rules = (chance: Chance, most: number): readonly WorldRule[] =>
  Array.from({ length: chance.below(most + 1) }, () => rule(chance));

export function randomWorld(chance: Chance): RandomWorld {
  const namespaces = ['ns1', 'ns2'].map((name): WorldNamespace => {
    const labels: Labels = chance.of(0.8) ? { team: chance.pick(TEAMS) } : {};
    const open: WorldRule = { action: 'Allow', source: {}, destination: {} };
    const profile = () => (chance.of(0.7) ? [open] : rules(chance, 2));
    return { name, labels, ingress: profile(), egress: profile() };
  });
  const roles = chance.of(0.5) ? ROLES : ROLES.toReversed();
  const pods = ['a', 'b', 'c'].map(
    (name, i): WorldPod => ({
      name,
      namespace: i < 2 ? 'ns1' : 'ns2',
      addresses: [`10.65.0.${i + 2}`, `fd00:65::${i + 2}`],
      labels: {
        ...(chance.of(0.8) ? { app: chance.pick(APPS) } : {}),
        ...(chance.of(0.5) ? { level: chance.pick(['1', '2']) } : {}),
      },
      webPort: chance.pick([80, 8080]),
      // Of one name in a namespace there is one account; its role follows from both.
      ...accountOf(chance.pick(ACCOUNTS), i < 2 ? roles : roles.toReversed()),
    }),
  );
  const policies = Array.from({ length: chance.below(7) }, (_, i): WorldPolicy => {
    const types = chance.pick([['Ingress'], ['Egress'], ['Ingress', 'Egress']] as const);
    return {
      name: `p${i}`,
      namespace: chance.pick([undefined, 'ns1', 'ns2']),
      tier: chance.pick(['default', 'default', 'first', 'last']),
      order: chance.below(4),
      selector: selector(chance),
      types,
      ingress: types.includes('Ingress' as never) ? rules(chance, 3) : [],
      egress: types.includes('Egress' as never) ? rules(chance, 3) : [],
    };
  });
  const tiers = [
    { name: 'first', order: 10, defaultAction: chance.pick(['Deny', 'Pass'] as const) },
    { name: 'last', order: 2_000_000, defaultAction: chance.pick(['Deny', 'Pass'] as const) },
  ];
  const sets = Array.from({ length: chance.below(3) }, () => ({
    labels: { app: chance.pick(APPS) },
    nets: chance.some([...NETS, ...V6_NETS], 2),
  }));
  const slices = Array.from({ length: chance.below(5) }, (): WorldSlice => {
    const { name, namespace } = service(chance);
    const family = chance.below(2);
    return {
      service: name,
      namespace,
      addresses: chance.some(pods, 3).map(({ addresses }) => addresses[family]!),
      ports: chance
        .some(PORTS, 2)
        .map((port) => ({ port, protocol: chance.pick(['TCP', 'UDP'] as const) })),
    };
  });
  const felix = chance.of(0.5)
    ? { logPrefix: '%t %k %p', logActionRateLimit: '10/minute', logActionRateLimitBurst: 2 }
    : {};
  return { pods, namespaces, tiers, policies, sets, slices, felix };
}
