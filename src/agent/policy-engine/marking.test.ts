import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { systemClock } from '../../base/clock.io.ts';
import { OpError } from '../../base/op-error.ts';
import { openPolicyEngine } from '../policy-engine.io.ts';
import { StrictKernel } from '../policy-kernel.cases.ts';

const KEY = '/calico/resources/v3/projectcalico.org/workloadendpoints/ns/node1-k8s-a-eth0';
const endpoint = (dscp: string): string =>
  JSON.stringify({
    kind: 'WorkloadEndpoint',
    metadata: { name: 'node1-k8s-a-eth0', namespace: 'ns' },
    spec: {
      node: 'node1',
      interfaceName: 'calia',
      ipNetworks: ['10.1.0.1/32'],
      qosControls: { dscp },
    },
  });

function engine(refuses: (line: string) => boolean) {
  const kernel = new StrictKernel();
  const lines: string[] = [];
  const opened = openPolicyEngine({
    node: 'node1',
    tables: {
      ...kernel.tables,
      commit: async (transaction) => {
        const refused = transaction.lines.find(refuses);
        if (refused) throw new OpError(`iptables ${transaction.table}`, `refused: ${refused}`);
        await kernel.tables.commit(transaction);
      },
    },
    ipSets: kernel.ipSets,
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
    clock: systemClock,
  });
  opened.snapshot([]);
  return { kernel, lines, opened };
}

test('a kernel without DSCP’s target: all other rules, one line of log, ready', async () => {
  const { kernel, lines, opened } = engine((line) => line.includes('--jump DSCP'));
  await opened.putEndpoint(KEY, endpoint('EF'));
  await opened.putEndpoint(KEY, endpoint('AF11'));
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^packets get no DSCP/);
  assert.deepEqual([opened.state().ready, opened.state().problem], [true, undefined]);
  assert.ok(kernel.chains.get('filter')!.has('cali-fw-calia'));
  assert.ok(kernel.chains.get('mangle')!.has('cali-POSTROUTING'));
  assert.ok(!kernel.chains.get('mangle')!.has('cali-egress-dscp'));
  await opened.close();
});

test('a table that is refused without marks too is a problem like any other, and marks stay', async () => {
  let broken = true;
  const { kernel, lines, opened } = engine((line) => broken && line.includes('cali-POSTROUTING'));
  await assert.rejects(opened.putEndpoint(KEY, endpoint('EF'), 1n, 50), /refused/);
  broken = false;
  await opened.putEndpoint(KEY, endpoint('EF'));
  assert.ok(!lines.some((line) => line.startsWith('packets get no DSCP')));
  assert.match(kernel.chains.get('mangle')!.get('cali-egress-dscp')![0]!, /--set-dscp 46$/);
  await opened.close();
});
