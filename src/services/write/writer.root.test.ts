// The writer on a real kernel: what iptables-save shows of every kind of rule is known again, for both
// families; what others do is repaired; a release leaves nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openTables } from '../../kernel/iptables/tables.io.ts';
import type { ChainRules, Tables } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';
import { ServiceWriter, type WantedTables } from './writer.io.ts';

const NETNS = `ckt-kube-${process.pid}`;
const netnsPath = `/run/netns/${NETNS}`;
before(() => execFileSync('ip', ['netns', 'add', NETNS]));
after(() => execFileSync('ip', ['netns', 'delete', NETNS]));

const comment = (text: string): string => `-m comment --comment "${text}"`;

const AFFINITY = '-m recent --name KUBE-SEP-AAAAAAAAAAAAAAAA';
const PORTALS = comment('kubernetes service portals');

interface Places {
  readonly vip: string;
  readonly pod: string;
  readonly podIp: string;
  readonly range: string;
  readonly loopback: string;
}

const placesOf = (family: Family): Places =>
  family === 6
    ? {
        vip: 'fd00:96::1',
        pod: '[fd00:1::1]:8080',
        podIp: 'fd00:1::1',
        range: 'fd00:1::/64',
        loopback: '::1/128',
      }
    : {
        vip: '10.96.0.1',
        pod: '10.1.0.1:8080',
        podIp: '10.1.0.1',
        range: '10.1.0.0/16',
        loopback: '127.0.0.0/8',
      };

const natChains = ({ vip, pod, podIp, range, loopback }: Places): WantedTables['nat']['chains'] =>
  new Map<string, ChainRules>([
    [
      'KUBE-SERVICES',
      [
        `${comment('a/b:c cluster IP')} -m tcp -p tcp -d ${vip} --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA`,
        `${comment('a/s external IP')} -m sctp -p sctp -d ${vip} --dport 7 -j KUBE-EXT-AAAAAAAAAAAAAAAA`,
        `${comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')} -m addrtype --dst-type LOCAL ! -d ${loopback} -j KUBE-NODEPORTS`,
      ],
    ],
    [
      'KUBE-NODEPORTS',
      [`${comment('a/b:c')} -m udp -p udp --dport 30080 -j KUBE-EXT-AAAAAAAAAAAAAAAA`],
    ],
    [
      'KUBE-EXT-AAAAAAAAAAAAAAAA',
      [
        `${comment('pod traffic for a/b:c external destinations')} -s ${range} -j KUBE-SVC-AAAAAAAAAAAAAAAA`,
        `${comment('masquerade LOCAL traffic for a/b:c external destinations')} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
      ],
    ],
    [
      'KUBE-SVC-AAAAAAAAAAAAAAAA',
      [
        `${comment('a/b:c cluster IP')} -m tcp -p tcp -d ${vip} --dport 80 ! -s ${range} -j KUBE-MARK-MASQ`,
        `${comment(`a/b:c -> ${pod}`)} ${AFFINITY} --rcheck --seconds 10800 --reap -j KUBE-SEP-AAAAAAAAAAAAAAAA`,
        `${comment(`a/b:c -> ${pod}`)} -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-AAAAAAAAAAAAAAAA`,
        `${comment(`a/b:c -> ${pod}`)} -j KUBE-SEP-AAAAAAAAAAAAAAAA`,
      ],
    ],
    [
      'KUBE-SEP-AAAAAAAAAAAAAAAA',
      [
        `${comment('a/b:c')} -s ${podIp} -j KUBE-MARK-MASQ`,
        `${comment('a/b:c')} ${AFFINITY} --set -m tcp -p tcp -j DNAT --to-destination ${pod}`,
      ],
    ],
    ['KUBE-MARK-MASQ', ['-j MARK --or-mark 0x4000']],
    [
      'KUBE-POSTROUTING',
      [
        '-m mark ! --mark 0x4000/0x4000 -j RETURN',
        '-j MARK --xor-mark 0x4000',
        `${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
      ],
    ],
  ]);

const filterChains = ({ vip }: Places): WantedTables['filter']['chains'] =>
  new Map<string, ChainRules>([
    [
      'KUBE-SERVICES',
      [`${comment('a/n has no endpoints')} -m tcp -p tcp -d ${vip} --dport 81 -j REJECT`],
    ],
    [
      'KUBE-PROXY-FIREWALL',
      [
        `${comment('a/l traffic not accepted by KUBE-FW-X')} -m tcp -p tcp -d ${vip} --dport 82 -j DROP`,
      ],
    ],
    [
      'KUBE-FORWARD',
      [
        '-m conntrack --ctstate INVALID -j DROP',
        `${comment('kubernetes forwarding rules')} -m mark --mark 0x4000/0x4000 -j ACCEPT`,
        `${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      ],
    ],
  ]);

/** Every kind of rule that kube-proxy's proxier writes, in its words. */
const everyKind = (family: Family): WantedTables => ({
  nat: {
    chains: natChains(placesOf(family)),
    hooks: new Map([
      ['PREROUTING', [`${PORTALS} -j KUBE-SERVICES`]],
      ['POSTROUTING', [`${comment('kubernetes postrouting rules')} -j KUBE-POSTROUTING`]],
    ]),
  },
  filter: {
    chains: filterChains(placesOf(family)),
    hooks: new Map([
      ['FORWARD', [`-m conntrack --ctstate NEW ${PORTALS} -j KUBE-SERVICES`]],
      ['INPUT', [`-m conntrack --ctstate NEW ${PORTALS} -j KUBE-SERVICES`]],
    ]),
  },
});

for (const family of [4, 6] as const) {
  const filled = async (work: (tables: Tables, writer: ServiceWriter) => Promise<void>) => {
    const tables = await openTables({ netnsPath, family, backend: 'nft' });
    try {
      const writer = new ServiceWriter(tables);
      await writer.apply(everyKind(family));
      await work(tables, writer);
    } finally {
      await tables.close();
    }
  };

  test(`IPv${family}: another start finds its rules, and writes nothing`, () =>
    filled(async (tables) => {
      const second = await new ServiceWriter(tables).apply(everyKind(family));
      assert.deepEqual(second, { commits: 0, lines: 0 });
    }));

  test(`IPv${family}: what others take away comes back, once it is looked for`, () =>
    filled(async (tables, writer) => {
      writer.doubt();
      const before = await tables.read('nat');
      const lines = [':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]', '-D KUBE-SERVICES 1', '-D PREROUTING 1'];
      await tables.commit({ table: 'nat', lines });
      writer.doubt();
      const { commits } = await writer.apply(everyKind(family));
      assert.equal(commits, 1);
      assert.deepEqual(await tables.read('nat'), before);
    }));

  test(`IPv${family}: a release leaves what kubelet uses too, others' rules, and no hook`, () =>
    filled(async (tables, writer) => {
      await tables.commit({ table: 'nat', lines: [':USER - [0:0]', '-A PREROUTING -j USER'] });
      await writer.release();
      const left = async (table: 'nat' | 'filter') =>
        [...(await tables.read(table))].flatMap(([name, rules]) =>
          rules.map((rule) => `${name} ${rule}`),
        );
      assert.deepEqual(await left('nat'), [
        'PREROUTING -j USER',
        'KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
      ]);
      assert.deepEqual(await left('filter'), []);
      assert.equal(await writer.release(), 0);
      await tables.commit({ table: 'nat', lines: ['-D PREROUTING -j USER', '-X USER'] });
    }));
}
