// Annotations: who wins, what is refused, and that a feature that is off has no effect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mac } from '../net/mac.ts';
import { machineOf, type Wishes, wishesOf } from './annotations.ts';
import { buildEndpoint, endpointIdentity } from './endpoint.ts';
import { type CniRequest, machineHandleOf, parseRequest } from './request.ts';
import { oneOfEach } from './result.ts';

type Annotations = Record<string, string>;
const CALICO = 'cni.projectcalico.org/';

function requestOf(more: object = {}, args = '') {
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/ns/c1',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0${args}`,
  };
  const parsed = parseRequest(env, JSON.stringify({ name: 'n', cniVersion: '1.0.0', ...more }));
  assert.ok(parsed.ok);
  return parsed.value;
}

function wishes(
  pod: Annotations,
  options: { namespace?: Annotations; config?: object; args?: string; spoofing?: boolean } = {},
) {
  return wishesOf({
    request: requestOf(options.config, options.args),
    pod,
    namespace: options.namespace,
    spoofingAllowed: options.spoofing ?? false,
  });
}

function granted(...args: Parameters<typeof wishes>): Wishes {
  const outcome = wishes(...args);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.value;
}

test('pod over namespace over configuration', () => {
  const config = { ipam: { type: 'calico-ipam', ipv4_pools: ['conf'], assign_ipv6: 'true' } };
  const namespace = { [`${CALICO}ipv4pools`]: '["ns"]', [`${CALICO}ipFamilies`]: '["IPv6"]' };
  assert.deepEqual(granted({}, { config }).pools4, ['conf']);
  assert.deepEqual(granted({}, { config, namespace }).pools4, ['ns']);
  const pod = { [`${CALICO}ipv4pools`]: '["10.0.0.0/16"]' };
  const both = granted(pod, { config, namespace });
  assert.deepEqual([both.pools4, both.assign4, both.assign6], [['10.0.0.0/16'], false, true]);
});

test('addresses by name decide the families and need Calico’s IPAM', () => {
  const pod = { [`${CALICO}ipAddrs`]: '["10.0.0.7"]' };
  const config = { ipam: { type: 'calico-ipam', assign_ipv6: 'true' } };
  const some = granted(pod, { config, args: ';IP=10.0.0.9' });
  assert.deepEqual([some.addresses, some.assign4, some.assign6], [['10.0.0.7'], true, false]);
  assert.deepEqual(granted({}, { args: ';IP=10.0.0.9' }).addresses, ['10.0.0.9']);
  // Those of the namespace are nobody's in particular.
  assert.deepEqual(granted({}, { namespace: pod }).addresses, []);
  const foreign = wishes(pod, { config: { ipam: { type: 'host-local' } } });
  assert.equal(foreign.ok ? 0 : foreign.error.code, 7);
});

test('what cannot be read fails by name', () => {
  const cases: [Annotations, number, RegExp][] = [
    [{ [`${CALICO}ipAddrs`]: 'x' }, 7, /ipAddrs: 'x' is no JSON list/],
    [{ [`${CALICO}ipAddrs`]: '["10.0.0.300"]' }, 7, /'10\.0\.0\.300' cannot be read/],
    [{ [`${CALICO}ipAddrs`]: '["10.0.0.1","10.0.0.2"]' }, 7, /more than one IPv4 address/],
    [{ [`${CALICO}ipFamilies`]: '["IPv5"]' }, 7, /'IPv5' is neither/],
    [{ [`${CALICO}hwAddr`]: '1a:2b:3c' }, 7, /no unicast MAC/],
    [{ [`${CALICO}hwAddr`]: '01:00:5e:00:00:01' }, 7, /no unicast MAC/],
    [{ [`${CALICO}ipAddrsNoIpam`]: '["10.0.0.1"]' }, 103, /feature_control\.ip_addrs_no_ipam/],
    [{ [`${CALICO}floatingIPs`]: '["1.2.3.4"]' }, 103, /feature_control\.floating_ips/],
  ];
  for (const [pod, code, msg] of cases) {
    const outcome = wishes(pod);
    assert.ok(!outcome.ok, JSON.stringify(pod));
    assert.equal(outcome.error.code, code);
    assert.match(outcome.error.msg, msg);
  }
});

test('features that are switched on', () => {
  const config = { feature_control: { ip_addrs_no_ipam: true, floating_ips: true } };
  const pod = {
    [`${CALICO}ipAddrsNoIpam`]: '["10.0.0.1","fd00::1"]',
    [`${CALICO}floatingIPs`]: '["1.2.3.4"]',
    [`${CALICO}hwAddr`]: '1A:2b:3c:4d:5e:6f',
    [`${CALICO}allowedSourcePrefixes`]: '["10.9.0.0/16"]',
    'calico-kit.io/stable-address': 'true',
  };
  const some = granted(pod, { config, spoofing: true });
  assert.deepEqual(some.addressesNoIpam, ['10.0.0.1', 'fd00::1']);
  assert.deepEqual(some.floatingIps, ['1.2.3.4']);
  assert.equal(some.mac, '1a:2b:3c:4d:5e:6f');
  assert.deepEqual(some.sourcePrefixes, ['10.9.0.0/16']);
  assert.equal(some.stableAddress, true);
  const both = { ...pod, [`${CALICO}ipAddrs`]: '["10.0.0.1"]' };
  assert.match(JSON.stringify(wishes(both, { config })), /cannot stand beside/);
});

test('CVE-2022-28224 class: with its feature off an annotation has no effect, whatever it says', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(fc.ipV4()).map((ips) => JSON.stringify(ips)),
    fc.array(fc.ipV4Extended()).map((ips) => JSON.stringify(ips)),
    fc.array(fc.ipV6()).map((ips) => JSON.stringify(ips)),
  );
  const names = ['floatingIPs', 'ipAddrsNoIpam', 'allowedSourcePrefixes', '__proto__', 'other'];
  const annotations = fc.dictionary(
    fc.constantFrom(...names.map((n) => `${CALICO}${n}`)),
    anything,
  );
  const request = requestOf();
  const identity = endpointIdentity('n1', request);
  fc.assert(
    fc.property(annotations, annotations, (pod, namespace) => {
      const outcome = wishesOf({ request, pod, namespace, spoofingAllowed: false });
      if (!outcome.ok) return; // the ADD fails: nothing is made
      const plain = granted({});
      assert.deepEqual(outcome.value, plain);
      const { spec } = buildEndpoint({
        node: 'n1',
        request,
        identity,
        pod: undefined,
        mac: mac('02:00:00:00:00:01'),
        ips: oneOfEach(outcome.value.addresses),
        uid: 'u',
        creationTimestamp: '',
        floatingIps: outcome.value.floatingIps,
        sourcePrefixes: outcome.value.sourcePrefixes,
      });
      assert.equal(spec.ipNATs, undefined);
      assert.equal(spec.allowSpoofedSourcePrefixes, undefined);
    }),
  );
});

test('KubeVirt: whose pod it is, and under which name the VM’s address is kept', () => {
  const labels = {
    'kubevirt.io': 'virt-launcher',
    'vm.kubevirt.io/name': 'db',
    'kubevirt.io/created-by': 'u1',
  };
  assert.deepEqual(machineOf(labels), { name: 'db', uid: 'u1' });
  assert.deepEqual(machineOf(labels, { 'kubevirt.io/domain': 'db' }), { name: 'db', uid: 'u1' });
  // Others' pods, a migration's target, a label that is a digest of the name.
  assert.equal(machineOf(), undefined);
  assert.equal(machineOf({ ...labels, 'kubevirt.io': 'hotplug-disk' }), undefined);
  assert.equal(machineOf({ ...labels, 'vm.kubevirt.io/name': '' }), undefined);
  assert.equal(machineOf({ ...labels, 'kubevirt.io/migrationJobUID': 'm1' }), undefined);
  assert.equal(machineOf(labels, { 'kubevirt.io/domain': 'x'.repeat(70) }), undefined);

  const handleOf = (namespace: string, machine: string, ifname = 'eth0') =>
    machineHandleOf(
      { config: { name: 'net' }, pod: { namespace, name: 'p' }, ifname } as CniRequest,
      machine,
    );
  assert.equal(handleOf('x', 'db.1'), 'net.vmi.x.db.1');
  assert.equal(handleOf('x', 'db', 'net1'), 'net.vmi.x.db:net1');
  const [long, other] = ['a', 'b'].map((end) => handleOf('x', 'v'.repeat(130) + end));
  assert.equal(long!.length, 52);
  assert.notEqual(long, other);
});
