import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memoryTables } from '../../kernel/memory-tables.ts';
import type { ChainRules } from '../../kernel/tables.ts';
import { canonicalRule } from './canonical.ts';
import {
  type KnownTable,
  knownTable,
  linesOf,
  planRelease,
  planTable,
  type WantedTable,
} from './plan.ts';

const LAST = '-m comment --comment "must be last" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS';
const HOOK = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES';

/** Each service: a rule in the list, a chain, and a chain for each endpoint. */
function wantedOf(services: Readonly<Record<string, readonly string[]>>): WantedTable {
  const chains = new Map<string, ChainRules>([['KUBE-NODEPORTS', []]]);
  const list = Object.keys(services).map((name) => `-d 10.96.0.${name} -j KUBE-SVC-${name}`);
  chains.set('KUBE-SERVICES', [...list, LAST]);
  for (const [name, ends] of Object.entries(services)) {
    chains.set(
      `KUBE-SVC-${name}`,
      ends.map((end) => `-j KUBE-SEP-${name}-${end}`),
    );
    for (const end of ends)
      chains.set(`KUBE-SEP-${name}-${end}`, [`-p tcp -j DNAT --to-destination ${end}`]);
  }
  return { chains, hooks: new Map([['PREROUTING', [HOOK]]]) };
}

const planned = (known: KnownTable, wanted: WantedTable) => linesOf(planTable(known, wanted));
const releasing = (known: KnownTable) => linesOf(planRelease(known));

test('one text for what is written and what iptables-save shows of it', () => {
  const pairs = [
    [
      '-m comment --comment "a/b cluster IP" -m tcp -p tcp -d 10.0.0.1 --dport 80 -j KUBE-SVC-X',
      '-d 10.0.0.1/32 -p tcp -m comment --comment "a/b cluster IP" -m tcp --dport 80 -j KUBE-SVC-X',
    ],
    ['-j MARK --or-mark 0x4000', '-j MARK --set-xmark 0x4000/0x4000'],
    ['-j MARK --xor-mark 0x4000', '-j MARK --set-xmark 0x4000/0x0'],
    [
      '-m statistic --mode random --probability 0.3333333333 -j A',
      '-m statistic --mode random --probability 0.33333333349 -j A',
    ],
    [
      '-m recent --name KUBE-SEP-X --rcheck --seconds 10800 --reap -j KUBE-SEP-X',
      '-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-X --mask 255.255.255.255 --rsource -j KUBE-SEP-X',
    ],
    [
      '-m comment --comment "a/b" ! -s 10.0.0.0/8 -j A',
      '! -s 10.0.0.0/8 -m comment --comment a/b -j A',
    ],
    ['-j REJECT', '-j REJECT --reject-with icmp-port-unreachable'],
  ] as const;
  for (const [written, shown] of pairs) assert.equal(canonicalRule(written), canonicalRule(shown));
  assert.notEqual(canonicalRule('-s 10.0.0.1 -j A'), canonicalRule('! -s 10.0.0.1 -j A'));
  assert.notEqual(
    canonicalRule('-m comment --comment "-j A" -j B'),
    canonicalRule('-m comment --comment "-j B" -j A'),
  );
});

test('from any services to any others, the table is what a fresh start makes; then nothing is to do', async () => {
  const names = fc.constantFrom('1', '2', '3', '4', '5');
  const services = fc.dictionary(names, fc.uniqueArray(fc.constantFrom('x', 'y', 'z')));
  await fc.assert(
    fc.asyncProperty(fc.array(services, { minLength: 1, maxLength: 6 }), async (worlds) => {
      const tables = memoryTables();
      for (const world of worlds) {
        const wanted = wantedOf(world);
        const lines = planned(knownTable(await tables.read('nat')), wanted);
        await tables.commit({ table: 'nat', lines });
        const content = await tables.read('nat');
        assert.equal(content.get('KUBE-SERVICES')!.at(-1), LAST);
        assert.deepEqual(planned(knownTable(content), wanted), []);
      }
      const fresh = memoryTables();
      const last = wantedOf(worlds.at(-1)!);
      const lines = planned(knownTable(await fresh.read('nat')), last);
      await fresh.commit({ table: 'nat', lines });
      const sorted = async (t: typeof tables) =>
        new Map(
          [...(await t.read('nat'))].map(([name, r]) => [name, r.toSorted()] as const).sort(),
        );
      assert.deepEqual(await sorted(tables), await sorted(fresh));
    }),
  );
});

test('a service beside others is a rule at the head, and its own chains', async () => {
  const tables = memoryTables();
  const known = async () => knownTable(await tables.read('nat'));
  const before = wantedOf({ '1': ['x'], '2': ['y'] });
  await tables.commit({ table: 'nat', lines: planned(await known(), before) });
  const lines = planned(await known(), wantedOf({ '1': ['x'], '2': ['y'], '3': ['z'] }));
  assert.deepEqual(lines, [
    ':KUBE-SVC-3 - [0:0]',
    ':KUBE-SEP-3-z - [0:0]',
    '-A KUBE-SVC-3 -j KUBE-SEP-3-z',
    '-A KUBE-SEP-3-z -p tcp -j DNAT --to-destination z',
    '-I KUBE-SERVICES -d 10.96.0.3 -j KUBE-SVC-3',
  ]);
});

test('hooks stand before the rule by which policy accepts: who refuses is asked first', () => {
  const cali = (words: string) => `-m comment --comment "cali:0123456789abcdef" ${words}`;
  const accepted = cali('-m mark --mark 0x10000/0x10000 -j ACCEPT');
  const at = (...rules: readonly string[]): string =>
    planned({ chains: new Map(), hooks: new Map([['PREROUTING', rules]]) }, wantedOf({})).at(-1)!;
  assert.equal(at(cali('-j cali-PREROUTING'), accepted), `-I PREROUTING 2 ${HOOK}`);
  assert.equal(at(accepted, cali('-j cali-PREROUTING')), `-I PREROUTING 1 ${HOOK}`);
  assert.equal(at(cali('--jump cali-PREROUTING')), `-I PREROUTING 2 ${HOOK}`);
});

test('hooks stand after policy’s and before others’; a release takes them and leaves what is shared', async () => {
  const cali = '-m comment --comment "cali:0123456789abcdef" -j cali-PREROUTING';
  const tables = memoryTables();
  const theirs = ['USER', 'cali-PREROUTING', 'KUBE-MARK-MASQ', 'KUBE-KUBELET-CANARY'];
  await tables.commit({
    table: 'nat',
    lines: [
      ...[...theirs, 'KUBE-ROUTER-INPUT'].map((name) => `:${name} - [0:0]`),
      `-A PREROUTING ${cali}`,
      '-A PREROUTING -j USER',
      '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    ],
  });
  const before = await tables.read('nat');
  const known = async () => knownTable(await tables.read('nat'));
  const lines = planned(await known(), wantedOf({}));
  assert.equal(lines.at(-1), `-I PREROUTING 2 ${HOOK}`);
  await tables.commit({ table: 'nat', lines });
  assert.deepEqual((await tables.read('nat')).get('PREROUTING'), [cali, HOOK, '-j USER']);
  const released = releasing(await known());
  assert.deepEqual(released, [
    ':KUBE-NODEPORTS - [0:0]',
    ':KUBE-SERVICES - [0:0]',
    `-D PREROUTING ${HOOK}`,
    '-X KUBE-NODEPORTS',
    '-X KUBE-SERVICES',
  ]);
  await tables.commit({ table: 'nat', lines: released });
  assert.deepEqual(await tables.read('nat'), before);
  assert.deepEqual(releasing(await known()), []);
});

test('a chain that others write must be there; what it holds is theirs, and it stays', () => {
  const wanted: WantedTable = {
    chains: new Map(),
    hooks: new Map([['INPUT', ['-j KUBE-FIREWALL']]]),
    ensured: ['KUBE-FIREWALL'],
  };
  const none = planned({ chains: new Map(), hooks: new Map() }, wanted);
  assert.deepEqual(none, [':KUBE-FIREWALL - [0:0]', '-I INPUT 1 -j KUBE-FIREWALL']);
  const chains = new Map([['KUBE-FIREWALL', ['-j DROP']]]);
  assert.deepEqual(planned({ chains, hooks: wanted.hooks }, wanted), []);
  const unhooked = planned({ chains, hooks: new Map() }, wanted);
  assert.deepEqual(unhooked, ['-I INPUT 1 -j KUBE-FIREWALL']);
  assert.deepEqual(releasing({ chains, hooks: wanted.hooks }), []);
});
