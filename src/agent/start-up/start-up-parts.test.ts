// The pure parts of start-up: the plan for the address, the default pool, the node's record.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EncapsulationMode } from '../../model/ip-pool.ts';
import type { NodeSpec } from '../../model/node.ts';
import { parseInterfaceAddress } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { defaultPool } from './default-pool.ts';
import { encapsulationProblem } from './encapsulation.ts';
import { decideAddress, planAddress } from './node-address.ts';
import { addressTaken, asNumberOf, holderOf, nextNodeSpec } from './own-node.ts';

const at = (text: string) => parseInterfaceAddress(text)!;

/** What a setting leads to: the address with its prefix length, and whether it was looked for. */
type Decision = [string, ReturnType<typeof decideAddress>, string | undefined, boolean];

function decisions(cases: readonly Decision[]): void {
  for (const [what, decision, wanted, detected] of cases) {
    test(what, () => {
      assert.ok(decision.ok);
      const { address } = decision.value;
      assert.equal(address && `${address.ip}/${address.prefixLength}`, wanted);
      assert.equal(decision.value.detected, detected);
    });
  }
}

describe('the variable IP', () => {
  const links = [{ index: 2, name: 'eth0', mtu: 1500, up: true }];
  const addresses = [{ linkIndex: 2, ...at('10.0.0.7/24'), scope: 'global' as const }];
  const around = { links, addresses };
  const none = { links: [], addresses: [] };
  const decide = (
    env: Record<string, string>,
    stored?: string,
    machine: typeof around = around,
  ) => {
    const plan = planAddress(env, 4);
    return plan.ok ? decideAddress(plan.value, stored ? at(stored) : undefined, machine) : plan;
  };
  const cases: Decision[] = [
    ['autodetect', decide({ IP: 'autodetect' }, '10.0.0.9/24'), '10.0.0.7/24', true],
    ['empty, nothing stored', decide({}), '10.0.0.7/24', true],
    ['empty, stored and there', decide({}, '10.0.0.7/16'), '10.0.0.7/16', false],
    ['empty, stored but gone', decide({}, '10.0.0.9/24'), '10.0.0.7/24', true],
    ['none', decide({ IP: 'none' }, '10.0.0.7/24'), undefined, false],
    ['an address', decide({ IP: '10.0.0.7' }), '10.0.0.7/24', false],
    ['a foreign address', decide({ IP: '10.5.5.5' }), '10.5.5.5/32', false],
    ['with a length', decide({ IP: '10.0.0.7/8' }), '10.0.0.7/8', false],
    ['no network, stored', decide({ IP: 'autodetect' }, '10.0.0.9/24', none), '10.0.0.9/24', false],
  ];
  decisions(cases);

  test('a change is told', () => {
    const decision = decide({ IP: 'autodetect' }, '10.0.0.9/24');
    assert.ok(decision.ok);
    assert.equal(decision.value.warning, "the node's address changes from 10.0.0.9 to 10.0.0.7");
  });

  test('bad text and a machine without a network are refused', () => {
    const bad = decide({ IP: '10.0.0' });
    assert.ok(!bad.ok);
    assert.match(bad.error, /IP: '10\.0\.0' must be autodetect, none, or an IPv4 address/);
    assert.ok(!decide({}, undefined, none).ok);
  });
});

describe('the variable IP6', () => {
  const links = [{ index: 2, name: 'eth0', mtu: 1500, up: true }];
  const addresses = ['fe80::1/64', '10.0.0.7/24', 'fd00::7/64'].map((text) => ({
    ...{ linkIndex: 2, ...at(text) },
    scope: text.startsWith('fe80') ? ('link' as const) : ('global' as const),
  }));
  const decide = (env: Record<string, string>, stored?: string, machine = { links, addresses }) => {
    const plan = planAddress(env, 6);
    return plan.ok ? decideAddress(plan.value, stored ? at(stored) : undefined, machine) : plan;
  };
  const none = { links, addresses: [] };
  const within = { IP6: 'autodetect', IP6_AUTODETECTION_METHOD: 'cidr=fd00::/16' };
  const cases: Decision[] = [
    ['empty asks for nothing', decide({}), undefined, false],
    ['empty keeps what is stored, there or not', decide({}, 'fd00::9/64'), 'fd00::9/64', false],
    ['none', decide({ IP6: 'none' }, 'fd00::7/64'), undefined, false],
    ['autodetect', decide({ IP6: 'autodetect' }, 'fd00::9/64'), 'fd00::7/64', true],
    ['autodetect by a method', decide(within), 'fd00::7/64', true],
    ['none there, stored', decide(within, 'fd00::9/64', none), 'fd00::9/64', false],
    ['an address', decide({ IP6: 'fd00::7' }), 'fd00::7/64', false],
    ['a foreign address', decide({ IP6: 'fd00::5' }), 'fd00::5/128', false],
    ['with a length', decide({ IP6: 'fd00::7/48' }), 'fd00::7/48', false],
  ];
  decisions(cases);

  test('what cannot be used is refused by its name', () => {
    const refused = (env: Record<string, string>, machine = { links, addresses }): string => {
      const decision = decide(env, undefined, machine);
      assert.ok(!decision.ok);
      return decision.error;
    };
    assert.match(refused({ IP6: '10.0.0.7' }), /^IP6: '10.0.0.7' must be .* 2001:db8::1\/64$/);
    assert.match(
      refused({ IP6_AUTODETECTION_METHOD: 'x' }),
      /^IP6_AUTODETECTION_METHOD: 'x' is no/,
    );
    assert.match(
      refused({ IPV6_AUTODETECTION_METHOD: 'interface=' }),
      /^IP6_AUTODETECTION_METHOD: .* names no interface/,
    );
    assert.match(
      refused({ IP6: 'autodetect' }, none),
      /finds no IPv6 address.*set IP6_AUTODETECTION_METHOD .* or IP6$/,
    );
  });
});

describe('the default pool', () => {
  test('as the chart asks for it', () => {
    const env = {
      CALICO_IPV4POOL_CIDR: '192.168.0.0/16',
      CALICO_IPV4POOL_IPIP: 'cross-subnet',
      CALICO_IPV4POOL_NAT_OUTGOING: 'false',
      CALICO_IPV4POOL_DISABLED: 'true',
      CALICO_IPV4POOL_BLOCK_SIZE: '28',
    };
    assert.deepEqual(defaultPool(env, []), {
      ok: true,
      value: {
        cidr: '192.168.0.0/16',
        vxlanMode: 'Never',
        ipipMode: 'CrossSubnet',
        natOutgoing: false,
        disabled: true,
        blockSize: 28,
        nodeSelector: 'all()',
        allowedUses: ['Workload', 'Tunnel'],
        assignmentMode: 'Automatic',
      },
    });
  });

  test('another range where the node itself lives in the usual one', () => {
    const rangeFor = (address: string): string | undefined => {
      const pool = defaultPool({}, [ip(address)]);
      return pool.ok ? pool.value?.cidr : undefined;
    };
    assert.equal(rangeFor('10.0.0.1'), '192.168.0.0/16');
    assert.equal(rangeFor('192.168.81.101'), '172.16.0.0/16');
  });

  test('none', () => {
    for (const env of [{ CALICO_IPV4POOL_CIDR: 'none' }, { NO_DEFAULT_POOLS: 'true' }])
      assert.deepEqual(defaultPool(env, []), { ok: true, value: undefined });
  });

  test('refusals name the variable, its value and the fix', () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ CALICO_IPV4POOL_CIDR: 'fd00::/64' }, /CALICO_IPV4POOL_CIDR: 'fd00::\/64' must be an IPv4/],
      [{ CALICO_IPV4POOL_IPIP: 'perhaps' }, /IPIP: 'perhaps' must be Always, CrossSubnet or Never/],
      [{ CALICO_IPV4POOL_BLOCK_SIZE: '19' }, /BLOCK_SIZE: '19' must be 20 to 32/],
      [{ CALICO_IPV4POOL_NAT_OUTGOING: 'si' }, /NAT_OUTGOING: 'si' must be true or false/],
      [{ NO_DEFAULT_POOLS: 'true', CALICO_IPV4POOL_CIDR: '10.0.0.0/8' }, /keep one of them/],
    ];
    for (const [env, message] of cases) {
      const pool = defaultPool(env, []);
      assert.ok(!pool.ok);
      assert.match(pool.error, message);
    }
  });
});

describe('the node record', () => {
  test('the start decides address, AS number and orchestrator; the rest stays', () => {
    const stored = {
      bgp: { ipv4Address: '10.0.0.9/24', ipv4IPIPTunnelAddr: '192.168.1.0' },
      orchRefs: [{ orchestrator: 'k8s', nodeName: 'old' }, { orchestrator: 'other' }],
      unknown: 1,
    } as NodeSpec;
    const addresses = new Map([[4 as const, at('10.0.0.7/24')]]);
    const decided = { addresses, asNumber: 65001, kubernetesNode: 'n1' };
    const next = nextNodeSpec(stored, decided);
    assert.deepEqual(next, {
      bgp: { ipv4Address: '10.0.0.7/24', ipv4IPIPTunnelAddr: '192.168.1.0', asNumber: 65001 },
      orchRefs: [{ orchestrator: 'other' }, { orchestrator: 'k8s', nodeName: 'n1' }],
      unknown: 1,
    });
    assert.deepEqual(nextNodeSpec(next, decided), next);
  });

  test('IPv6: kept as it stands where the start does not decide it, written or gone where it does', () => {
    const stored: NodeSpec = { bgp: { ipv4Address: '10.0.0.7/24', ipv6Address: 'fd00::7' } };
    const ipv6 = (...addresses: [6, ReturnType<typeof at> | undefined][]) =>
      nextNodeSpec(stored, {
        addresses: new Map(addresses),
        asNumber: undefined,
        kubernetesNode: 'n1',
      }).bgp?.ipv6Address;
    assert.deepEqual(
      [ipv6(), ipv6([6, at('fd00::8/64')]), ipv6([6, undefined])],
      ['fd00::7', 'fd00::8/64', undefined],
    );
  });

  test('AS as plain or dotted number', () => {
    assert.deepEqual(asNumberOf({}), { ok: true, value: undefined });
    assert.deepEqual(asNumberOf({ AS: '64512' }), { ok: true, value: 64512 });
    assert.deepEqual(asNumberOf({ AS: '1.1' }), { ok: true, value: 65537 });
    assert.ok(!asNumberOf({ AS: 'many' }).ok);
  });

  test('another node with our address', () => {
    const node = (name: string, ipv4Address: string) => ({
      kind: 'Node' as const,
      apiVersion: 'projectcalico.org/v3',
      metadata: { name },
      spec: { bgp: { ipv4Address } },
    });
    const nodes = [node('n1', '10.0.0.7/24'), node('n2', '10.0.0.8/24')];
    assert.equal(holderOf(at('10.0.0.8/16'), 'n1', nodes), 'n2');
    assert.equal(holderOf(at('10.0.0.7/24'), 'n1', nodes), undefined);
    const six = { ...nodes[1]!, spec: { bgp: { ipv6Address: 'fd00::8/64' } } };
    assert.equal(holderOf(at('fd00::8/128'), 'n1', [...nodes, six]), 'n2');
    assert.equal(
      addressTaken('n2', at('fd00::8/128')),
      "Calico node 'n2' is already using the IPv6 address fd00::8.",
    );
  });
});

test('what a pool asks for and the node cannot do', () => {
  const pool = (ipipMode?: EncapsulationMode, vxlanMode?: EncapsulationMode) => ({
    kind: 'IPPool' as const,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: 'p' },
    spec: { cidr: '10.0.0.0/16', ...(ipipMode && { ipipMode }), ...(vxlanMode && { vxlanMode }) },
  });
  const cannot = () => 'the kernel has no such thing';
  assert.equal(encapsulationProblem([pool(), pool('Never', 'Never')], cannot), undefined);
  assert.equal(
    encapsulationProblem([pool('Always'), pool('Never', 'Always')], () => undefined),
    undefined,
  );
  assert.match(
    encapsulationProblem([pool('Always')], cannot)!,
    /IPPool p \(10.0.0.0\/16\) asks for ipipMode Always.*networking.settings.ippool.ipip.mode: Never/,
  );
  assert.match(
    encapsulationProblem([pool('Never', 'CrossSubnet')], (each) =>
      each === 'ipip' ? undefined : cannot(),
    )!,
    /vxlanMode CrossSubnet, but this node has no VXLAN device \(vxlan.calico\): the kernel.*vxlan.mode: Never/,
  );
});
