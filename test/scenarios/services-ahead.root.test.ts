// Services ahead of their rules, with packets: while the kernel takes no rules of nat, changed services
// are served by the small table; afterwards by their rules alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { inNetns, openNetns } from '../../src/kernel/namespaces.io.ts';
import { FORWARDS_TABLE } from '../../src/kernel/nftables/forwards.ts';
import type { Tables } from '../../src/kernel/tables.ts';
import type { Family } from '../../src/net/ip.ts';
import { Chains } from '../bench/services/chains.ts';
import { netnsPath } from '../lab/netns.ts';
import {
  ask,
  OUTSIDE_ADDRESS,
  PORT,
  type ServicesNode,
  service,
  slice,
  withServicesNode,
} from './services-node.ts';

const [VIP, VIP6, OTHER] = ['10.96.0.20', 'fd00:96::20', '10.96.0.21'];
const [TRIES, PATIENCE_MILLISECONDS] = [40, 5000];

const plain = (name: string, ip: string, spec: object = {}) =>
  service(name, {
    clusterIP: ip,
    clusterIPs: [ip],
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT }],
    ...spec,
  });

class Gate {
  private readonly opens: (() => void)[] = [];
  passed: Promise<void> = Promise.resolve();

  shut(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.passed = promise;
    this.opens.push(resolve);
  }

  open(): void {
    for (const one of this.opens) one();
  }
}

/** Tables whose nat is written only while the gate is open. */
async function gated({ node }: ServicesNode, family: Family, gate: Gate) {
  const place = { netnsPath: netnsPath(node.name), backend: 'nft', family } as const;
  const tables = await openTables(place);
  const waiting: Tables = {
    ...tables,
    commit: async (transaction) => {
      if (transaction.table === 'nat') await gate.passed;
      return tables.commit(transaction);
    },
  };
  return waiting;
}

async function until(holds: () => boolean): Promise<void> {
  const startedAt = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - startedAt < PATIENCE_MILLISECONDS, `${holds} does not hold`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function served(bench: ServicesNode, gate: Gate): Promise<void> {
  const { pods, kubernetes, start, outside, node } = bench;
  const [a, b, c] = pods as [(typeof pods)[0], (typeof pods)[0], (typeof pods)[0]];
  const fd = openNetns(netnsPath(node.name));
  const chains = inNetns(fd, () => new Chains());
  const isAhead = () => chains.has(FORWARDS_TABLE, 'places');
  kubernetes.put('wholeservices', plain('first', '10.96.0.9'));
  kubernetes.put('wholeendpointslices', slice('first', [a]));
  const tables = await gated(bench, 4, gate);
  const ipv6Tables = await gated(bench, 6, gate);
  const { engine } = await start({ tables, ipv6Tables, dearRules: 1 });
  assert.equal(isAhead(), false);

  gate.shut();
  const spec = { clusterIPs: [VIP, VIP6], ipFamilies: ['IPv4', 'IPv6'] };
  kubernetes.put('wholeservices', plain('web', VIP, spec));
  kubernetes.put('wholeendpointslices', slice('web', [a, b]));
  const six = slice('web', [b]) as { metadata: object; endpoints?: unknown[] };
  kubernetes.put('wholeendpointslices', {
    ...six,
    metadata: { ...six.metadata, name: 'web-6' },
    addressType: 'IPv6',
    endpoints: [{ addresses: [b.ipv6], conditions: { ready: true } }],
  } as never);
  // A client that has to be remembered waits for the rules.
  kubernetes.put('wholeservices', plain('sticky', OTHER, { sessionAffinity: 'ClientIP' }));
  kubernetes.put('wholeendpointslices', slice('sticky', [a]));
  await until(isAhead);
  const call = () => ask({ from: c.netns, to: VIP, port: 80 });
  const answers = Array.from({ length: TRIES }, call);
  assert.deepEqual(new Set(answers.map((text) => text?.split(' ')[0])), new Set(['a', 'b']));
  assert.match(call() ?? '', new RegExp(` ${c.address}$`), 'the pod’s own address is seen');
  assert.equal(ask({ from: c.netns, to: VIP6, port: 80 }), `b ${c.ipv6}`);
  assert.ok(ask({ from: node, to: VIP, port: 80 }), 'the node’s own programs are served');
  assert.equal(ask({ from: c.netns, to: OTHER, port: 80 }), undefined);

  kubernetes.put('wholeendpointslices', slice('web', [a]));
  await until(() => !chains.has(FORWARDS_TABLE, `tcp-${VIP}-80-1`));
  assert.match(ask({ from: a.netns, to: VIP, port: 80 }) ?? '', /^a /, 'it reaches itself');

  gate.open();
  await until(() => !isAhead());
  assert.match(call() ?? '', /^a /, 'by its rules');
  assert.match(ask({ from: c.netns, to: OTHER, port: 80 }) ?? '', /^a /);
  assert.doesNotMatch(
    ask({ from: outside, to: VIP, port: 80 }) ?? OUTSIDE_ADDRESS,
    new RegExp(OUTSIDE_ADDRESS),
  );

  // The kernel takes the table away with the program.
  gate.shut();
  kubernetes.put('wholeendpointslices', slice('web', [b]));
  await until(isAhead);
  assert.match(call() ?? '', /^b /);
  gate.open();
  await engine.close();
  assert.equal(isAhead(), false);
}

test('changed services are served before their rules are written, and by these alone afterwards', () =>
  withServicesNode(['a', 'b', 'c'], async (bench) => {
    const gate = new Gate();
    await served(bench, gate).finally(() => gate.open());
  }));
