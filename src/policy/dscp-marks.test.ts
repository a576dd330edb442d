import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Family } from '../net/ip.ts';
import { PolicyCalculator } from './calculate.ts';

const ROOT = '/calico/resources/v3/projectcalico.org';

function world() {
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  const put = (path: string, kind: string, metadata: object, spec: object): void => {
    const name = path.split('/').at(-1)!;
    const value = {
      kind,
      apiVersion: 'projectcalico.org/v3',
      metadata: { name, ...metadata },
      spec,
    };
    calculator.put(`${ROOT}/${path}`, JSON.stringify(value));
  };
  return {
    calculator,
    endpoint: (pod: string, dscp: string | number | undefined, ...ips: readonly string[]): void =>
      put(
        `workloadendpoints/ns/node1-k8s-${pod}-eth0`,
        'WorkloadEndpoint',
        {},
        {
          node: 'node1',
          interfaceName: `cali${pod}`,
          ipNetworks: ips.map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`),
          ...(dscp === undefined ? {} : { qosControls: { dscp } }),
        },
      ),
    host: (dscp: string): void =>
      put(
        'hostendpoints/node1-eth0',
        'HostEndpoint',
        { annotations: { 'qos.projectcalico.org/dscp': dscp } },
        { node: 'node1', interfaceName: 'eth0', expectedIPs: ['10.0.2.11'] },
      ),
    /** The chain's rules and the set's members; undefined: there is none. */
    marks: (family: Family = 4) => {
      const { tables, ipSets } = calculator.of(family).desired();
      const chains = tables.get('mangle')!.chains;
      const text = (chain: string) =>
        chains
          .get(chain)
          ?.rules.map((rule) => rule.text.replace(/^-m comment --comment "cali:[^"]*" /, ''));
      const members = ipSets.get(`cali${family}0dscp-src-net`)?.members;
      return {
        jumps: text('cali-POSTROUTING')!.filter((rule) => rule.includes('cali-egress-dscp')).length,
        rules: text('cali-egress-dscp'),
        members: members && [...members].sort(),
      };
    },
  };
}

const NONE = { jumps: 0, rules: undefined, members: undefined };

test('DSCP: a rule and a member for each address of a local endpoint that asks, as Felix orders them', () => {
  const { calculator, endpoint, marks } = world();
  endpoint('c', undefined, '10.65.0.4');
  assert.deepEqual(marks(), NONE);
  endpoint('b', 'AF11', '10.65.0.3', 'fd00:65::3');
  endpoint('a', 46, '10.65.0.2');
  endpoint('d', 'nonsense', '10.65.0.5');
  assert.deepEqual(marks(), {
    jumps: 1,
    rules: [
      '--source 10.65.0.2 --jump DSCP --set-dscp 46',
      '--source 10.65.0.3 --jump DSCP --set-dscp 10',
    ],
    members: ['10.65.0.2', '10.65.0.3'],
  });
  assert.deepEqual(marks(6), {
    jumps: 1,
    rules: ['--source fd00:65::3 --jump DSCP --set-dscp 10'],
    members: ['fd00:65::3'],
  });
  calculator.remove(`${ROOT}/workloadendpoints/ns/node1-k8s-b-eth0`);
  assert.deepEqual(marks().members, ['10.65.0.2']);
  assert.deepEqual(marks(6), NONE);
  endpoint('a', undefined, '10.65.0.2');
  assert.deepEqual(marks(), NONE);
});

test('DSCP: changed while the pod runs, all is written; other changes leave table and set what they are', () => {
  const { calculator, endpoint, marks } = world();
  endpoint('a', 'EF', '10.65.0.2');
  const before = calculator.of(4).desired();
  endpoint('b', undefined, '10.65.0.3');
  const additions = calculator.of(4).additions();
  const set = 'cali40dscp-src-net';
  assert.equal(additions?.ipSets.get(set), before.ipSets.get(set));
  const after = calculator.of(4).desired();
  assert.equal(after.tables.get('mangle'), before.tables.get('mangle'));
  assert.equal(after.ipSets.get(set), before.ipSets.get(set));
  endpoint('a', 'CS1', '10.65.0.2');
  assert.equal(calculator.of(4).additions(), undefined);
  assert.deepEqual(marks().rules, ['--source 10.65.0.2 --jump DSCP --set-dscp 8']);
});

test('DSCP: of a HostEndpoint by its annotation; none at all where the kernel has no target for it', () => {
  const { calculator, endpoint, host, marks } = world();
  host('12');
  endpoint('a', 'EF', '10.65.0.2');
  assert.deepEqual(marks().rules, [
    '--source 10.0.2.11 --jump DSCP --set-dscp 12',
    '--source 10.65.0.2 --jump DSCP --set-dscp 46',
  ]);
  calculator.of(4).marksAllowed = false;
  assert.deepEqual(marks(), NONE);
  calculator.of(4).marksAllowed = true;
  host('13');
  assert.match(marks().rules![0]!, /--set-dscp 13$/);
});
