// What FelixConfiguration says of how rules are made: which rules become others, and who has the last word.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip } from '../net/ip.ts';
import { PolicyCalculator } from './calculate.ts';
import { felixEnvironment } from './read/environment.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const stored = (kind: string, name: string, spec: object, labels: object = {}): string =>
  JSON.stringify({ kind, metadata: { name, namespace: 'ns', labels }, spec });

function world(environment: Record<string, string> = {}) {
  const felix = felixEnvironment(environment);
  assert.ok(felix.ok, felix.ok ? '' : felix.error);
  const one = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'DROP', ipipEnabled: true, felix: felix.value },
    nodeAddress: () => ip('10.9.0.1'),
  });
  const put = (path: string, kind: string, spec: object): void =>
    void one.put(ROOT + path, stored(kind, path.split('/').at(-1)!, spec));
  const configure = (spec: object, name = 'default'): void =>
    put(`felixconfigurations/${name}`, 'FelixConfiguration', spec);
  const deny = { ingress: [{ action: 'Deny' }], types: ['Ingress'] };
  put('ippools/p', 'IPPool', { cidr: '10.1.0.0/16', natOutgoing: true });
  put('workloadendpoints/ns/node1-k8s-a-eth0', 'WorkloadEndpoint', {
    node: 'node1',
    interfaceName: 'cali1',
    ipNetworks: ['10.1.0.1/32'],
    profiles: ['open'],
  });
  put('profiles/open', 'Profile', { ingress: [{ action: 'Allow' }] });
  put('globalnetworkpolicies/deny', 'GlobalNetworkPolicy', deny);
  put('globalnetworkpolicies/first', 'GlobalNetworkPolicy', {
    ...deny,
    preDNAT: true,
    applyOnForward: true,
  });
  put('profiles/shut', 'Profile', { egress: [{ action: 'Deny' }] });
  put('hostendpoints/h', 'HostEndpoint', {
    node: 'node1',
    interfaceName: 'eth0',
    profiles: ['shut'],
  });
  const chain = (table: 'raw' | 'mangle' | 'nat' | 'filter', name: string): readonly string[] =>
    one
      .of(4)
      .desired()
      .tables.get(table)!
      .chains.get(name)!
      .rules.map(({ text }) => text.replace(/^-m comment --comment "cali:\S+" ?/, ''));
  const sets = () => one.of(4).desired().ipSets;
  const filter = () => one.of(4).desired().tables.get('filter')!;
  return { one, put, configure, chain, sets, filter };
}

const EVERY = ['raw', 'mangle', 'nat', 'filter'] as const;
type Described = ReturnType<typeof world>;
const all = ({ one }: Described): string =>
  EVERY.flatMap((table) => {
    const { chains, inserts, appends } = one.of(4).desired().tables.get(table)!;
    const hooks = [...inserts.values(), ...appends.values()].flat();
    const rules = [...chains.values()].flatMap((chain) => chain.rules);
    return [...hooks, ...rules].map(({ text }) => `${table} ${text}`);
  }).join('\n');

test('allowed packets go back to others’ rules', () => {
  const w = world();
  w.configure({ iptablesFilterAllowAction: 'Return', iptablesMangleAllowAction: 'Return' });
  const text = all(w);
  assert.doesNotMatch(text, /^mangle .*ESTABLISHED --jump ACCEPT/m);
  assert.doesNotMatch(text, /^filter .*(ESTABLISHED|mark 0x10000\/0x10000) --jump ACCEPT/m);
  assert.deepEqual(w.chain('filter', 'cali-tw-cali1').slice(0, 2), [
    '-m conntrack --ctstate RELATED,ESTABLISHED --jump MARK --set-mark 0x10000/0x10000',
    '-m conntrack --ctstate RELATED,ESTABLISHED --jump RETURN',
  ]);
});

test('denied packets are rejected, in the filter table alone', () => {
  const w = world();
  w.configure({ iptablesFilterDenyAction: 'Reject', defaultEndpointToHostAction: 'Return' });
  const text = all(w);
  assert.doesNotMatch(text, /^(raw|mangle|nat) .*REJECT/m);
  assert.doesNotMatch(text, /^filter .*--jump DROP/m);
  for (const comment of [
    'Reject IPIP packets from non-Calico hosts',
    'End of tier default. Reject if no policies passed packet',
    'Reject if no profiles matched',
    'Reject VXLAN encapped packets originating in workloads',
    'Unknown interface',
  ])
    assert.ok(text.includes(`"${comment}" `), comment);
  assert.match(w.chain('filter', 'cali-pi-gnp/deny').at(-1)!, /--jump REJECT$/);
  assert.match(w.chain('mangle', 'cali-pi-gnp/first').at(-1)!, /--jump DROP$/);
});

test('NAT of packets that leave the pools', () => {
  const w = world();
  const sets = '-m set --match-set cali40masq-ipam-pools src -m set ! --match-set ';
  const leaves = `${sets}cali40network-ip-pools dst`;
  const of = (spec: object) => {
    w.configure(spec);
    return w.chain('nat', 'cali-nat-outgoing');
  };
  assert.deepEqual(of({}), [`${leaves} --jump MASQUERADE --random-fully`]);
  assert.deepEqual(of({ natPortRange: '1000:2000', natOutgoingAddress: '192.0.2.9' }), [
    `${leaves} -p tcp --jump SNAT --to-source 192.0.2.9:1000-2000 --random-fully`,
    `${leaves} -p tcp --jump RETURN`,
    `${leaves} -p udp --jump SNAT --to-source 192.0.2.9:1000-2000 --random-fully`,
    `${leaves} -p udp --jump RETURN`,
    `${leaves} --jump SNAT --to-source 192.0.2.9 --random-fully`,
  ]);
  assert.deepEqual(
    of({ natPortRange: 4000, iptablesNATOutgoingInterfaceFilter: 'eth+' })[0],
    [
      `${leaves} -p tcp --out-interface eth+ --jump MASQUERADE --to-ports 4000-4000 --random-fully`,
    ][0],
  );
  assert.deepEqual(of({ natOutgoingExclusions: 'IPPoolsAndHostIPs' }), [
    `${leaves} -m set ! --match-set cali40all-hosts-net dst --jump MASQUERADE --random-fully`,
  ]);
  w.put('ippools/p', 'IPPool', { cidr: '10.1.0.0/16', natOutgoing: false });
  assert.deepEqual(of({}), []);
});

test('nodes’ IPv6 addresses are as little masqueraded for as their IPv4 ones', () => {
  const w = world();
  const bgp = { ipv4Address: '10.9.0.2/24', ipv6Address: 'fd09::2/64' };
  w.put('nodes/node2', 'Node', { bgp });
  w.put('ippools/six', 'IPPool', { cidr: 'fd01::/48', natOutgoing: true });
  w.configure({ natOutgoingExclusions: 'IPPoolsAndHostIPs' });
  const { tables, ipSets } = w.one.of(6).desired();
  const [rule] = tables.get('nat')!.chains.get('cali-nat-outgoing')!.rules;
  assert.match(
    rule!.text,
    / ! --match-set cali60network-ip-pools dst -m set ! --match-set cali60all-hosts-net dst --jump MASQ/,
  );
  const hosts = () => [...w.one.of(6).desired().ipSets.get('cali60all-hosts-net')!.members];
  assert.deepEqual([...ipSets.get('cali60all-hosts-net')!.members], ['fd09::2']);
  w.put('nodes/node2', 'Node', { bgp: { ...bgp, ipv6Address: 'fd09::3/64' } });
  assert.deepEqual(hosts(), ['fd09::3']);
});

test('another mask moves the bits of the mark, and nothing else', () => {
  const w = world();
  w.put('globalnetworkpolicies/many', 'GlobalNetworkPolicy', {
    ingress: [
      { action: 'Log' },
      {
        action: 'Pass',
        protocol: 'TCP',
        source: { nets: ['10.0.0.0/8', '11.0.0.0/8'], notNets: ['12.0.0.0/8', '13.0.0.0/8'] },
        destination: { ports: Array.from({ length: 20 }, (_, i) => 2 * i + 1) },
      },
    ],
    types: ['Ingress'],
  });
  w.configure({ logPrefix: '--mark 0x10000/0x10000' });
  const before = all(w);
  w.configure({ iptablesMarkMask: 0x00ff0000, logPrefix: '--mark 0x10000/0x10000' });
  assert.equal(all(w), before);
  w.configure({ iptablesMarkMask: 0xf0100, logPrefix: '--mark 0x10000/0x10000' });
  const moved: Readonly<Record<string, string>> = {
    '0': '0',
    '0x0': '0x0',
    '0x10000': '0x100',
    '0x20000': '0x10000',
    '0x30000': '0x10100',
    '0x40000': '0x20000',
    '0x80000': '0x40000',
    '0x100000': '0x80000',
    '0x180000': '0xc0000',
    '0x1a0000': '0xd0000',
    '0x1b0000': '0xd0100',
  };
  const bare = (text: string): string => text.replace(/cali:[\w-]{16}"/g, 'cali:"');
  const expected = bare(before).replace(
    / (--(?:set-)?mark) (\w+)\/(\w+)/g, // a prefix of lines stands in quotes
    (_, word: string, value: string, mask: string) => ` ${word} ${moved[value]}/${moved[mask]}`,
  );
  assert.ok(bare(all(w)) === expected);
  assert.match(expected, /0xc0000.*0x40000/s);
  w.configure({ iptablesMarkMask: 0xf0000, logPrefix: '--mark 0x10000/0x10000' });
  assert.equal(all(w), before, 'four bits are too few');
});

test('sets hold as many members as is said', () => {
  const w = world();
  const limits = () => new Set([...w.sets().values()].map(({ meta }) => meta.maxElements));
  assert.deepEqual([...limits()], [1048576]);
  w.configure({ maxIpsetSize: 2000000 });
  assert.deepEqual([...limits()], [2000000]);
  w.configure({ maxIpsetSize: 0 });
  assert.deepEqual([...limits()], [1048576]);
});

test('our jumps stand last', () => {
  const w = world();
  w.configure({ chainInsertMode: 'Append' });
  const { inserts, appends } = w.filter();
  assert.equal(inserts.size, 0);
  assert.match(appends.get('FORWARD')![0]!.text, /cali:wUHhoiAYhphO9Mso" --jump cali-FORWARD$/);
  assert.deepEqual(appends.get('FORWARD')!.length, 3);
});

test('whatever else may be told', () => {
  const w = world();
  const counts = (pattern: RegExp): number => all(w).match(pattern)?.length ?? 0;
  assert.equal(counts(/--destination-ports 4789 --jump DROP/g), 1);
  w.configure({ vxlanPort: 8472, disableConntrackInvalidCheck: true });
  assert.equal(counts(/--destination-ports 8472 --jump DROP/g), 1);
  assert.equal(counts(/INVALID/g), 0);
  w.configure({ allowVXLANPacketsFromWorkloads: true, allowIPIPPacketsFromWorkloads: true });
  assert.equal(counts(/originating in workloads/g), 0);
  w.configure({ interfacePrefix: 'cali,tap', defaultEndpointToHostAction: 'Accept' });
  assert.equal(counts(/^raw .*--in-interface tap\+/gm), 1);
  assert.equal(counts(/^filter .*interface tap\+/gm), 4);
  assert.match(w.chain('filter', 'cali-wl-to-host').at(-1)!, /--jump ACCEPT$/);
  w.configure({ externalNodesList: ['192.0.2.0/24', 'fd00::1', 'x'] });
  assert.deepEqual([...w.sets().get('cali40all-hosts-net')!.members], ['192.0.2.0/24']);
});

test('packets to service addresses that nobody serves do not go round', () => {
  const w = world();
  const services = {
    serviceExternalIPs: [{ cidr: '192.0.2.0/24' }],
    serviceClusterIPs: [{ cidr: '10.96.0.0/12' }, { cidr: 'fd00::/112' }],
  };
  w.put('bgpconfigurations/default', 'BGPConfiguration', services);
  assert.deepEqual(w.chain('filter', 'cali-cidr-block'), [
    '--destination 10.96.0.0/12 --jump DROP',
    '--destination 192.0.2.0/24 --jump DROP',
  ]);
  w.configure({ serviceLoopPrevention: 'Reject' });
  assert.match(w.chain('filter', 'cali-cidr-block')[0]!, /--jump REJECT$/);
  w.configure({ serviceLoopPrevention: 'Disabled' });
  assert.deepEqual(w.chain('filter', 'cali-cidr-block'), []);
});

test('the environment over the node’s configuration over the cluster’s', () => {
  const last = ({ chain }: Described) =>
    chain('filter', 'cali-wl-to-host').at(-1)!.split(' ').at(-1);
  const w = world();
  assert.equal(last(w), 'DROP');
  w.configure({ defaultEndpointToHostAction: 'Accept' });
  assert.equal(last(w), 'ACCEPT');
  w.configure({ defaultEndpointToHostAction: 'Return' }, 'node.node1');
  assert.equal(last(w), 'RETURN');
  w.one.remove(`${ROOT}felixconfigurations/node.node1`);
  assert.equal(last(w), 'ACCEPT');
  const told = world({ FELIX_DEFAULTENDPOINTTOHOSTACTION: 'drop' });
  told.configure({ defaultEndpointToHostAction: 'Accept' });
  assert.equal(last(told), 'DROP');
});

test('the environment: what cannot be used is named', () => {
  const cases: [string, string, RegExp][] = [
    ['FELIX_NATPORTRANGE', '9:1', /FELIX_NATPORTRANGE: '9:1' must be like 32768:65535/],
    ['FELIX_NATOUTGOINGADDRESS', 'here', /must be an address/],
    ['FELIX_IPTABLESFILTERDENYACTION', 'accept', /must be DROP or REJECT/],
    ['FELIX_VXLANPORT', '0', /must be 1 to 65535/],
    ['FELIX_ALLOWIPIPPACKETSFROMWORKLOADS', 'yes', /must be true or false/],
    ['FELIX_EXTERNALNODESCIDRLIST', '10.0.0.1,x', /must be like 10\.0\.0\.5/],
    ['FELIX_IPTABLESMARKMASK', '0xf0000', /must be a number with five bits or more/],
    ['FELIX_MAXIPSETSIZE', 'many', /must be a number/],
    ['FELIX_SERVICELOOPPREVENTION', 'off', /must be Drop, Reject or Disabled/],
  ];
  for (const [name, value, error] of cases) {
    const felix = felixEnvironment({ [name]: value });
    assert.match(felix.ok ? '' : felix.error, error);
  }
  const good = felixEnvironment({
    FELIX_EXTERNALNODESCIDRLIST: '10.0.0.5, fd00::/64',
    FELIX_SERVICELOOPPREVENTION: 'disabled',
    FELIX_NATOUTGOINGEXCLUSIONS: 'IPPoolsOnly',
    FELIX_IPTABLESMARKMASK: '0xff00',
    FELIX_MAXIPSETSIZE: '5000',
  });
  assert.deepEqual(good.ok && good.value.rules, {
    natExcludesHosts: false,
    externalNodes: ['10.0.0.5/32', 'fd00::/64'],
    loopPrevention: undefined,
    markMask: 0xff00,
    setElementsMax: 5000,
  });
});
