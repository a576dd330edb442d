import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { printResource } from '../model/resource.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { parseConfig } from './config.ts';
import { buildEndpoint, endpointIdentity } from './endpoint.ts';
import { printCniError } from './errors.ts';
import { printIpamResult } from './ipam-result.ts';
import { destinationsOf, hostSysctls, podAddresses, podSysctls, podSysctlsBefore } from './plan.ts';
import { handleIdOf, parseRequest } from './request.ts';
import { parseResult, printResult } from './result.ts';

const slides = JSON.stringify({
  cniVersion: '0.3.0',
  name: 'k8s-pod-network',
  type: 'calico',
  etcd_endpoints: 'http://10.96.232.136:6666',
  log_level: 'info',
  mtu: 1500,
  ipam: { type: 'calico-ipam' },
  policy: { type: 'k8s', k8s_api_root: 'https://10.96.0.1:443', k8s_auth_token: 'secret' },
  kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig' },
});
const env = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/var/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx;bad',
};

test('the slides configuration', () => {
  const config = parseConfig(slides);
  assert.ok(config.ok);
  assert.equal(config.value.mtu, 1500);
  assert.equal(config.value.kubernetesPolicy, true);
  assert.deepEqual(config.value.unknownKeys, []);
});

test('bad configurations fail by name', () => {
  const cases: [string, number, RegExp][] = [
    ['nonsense', 6, /not JSON/],
    ['[]', 6, /not an object/],
    ['{}', 7, /name ''/],
    ['{"name":"n","mtu":"1500"}', 7, /mtu must be a number, not string 1500/],
    ['{"name":"n","mtu":67}', 7, /mtu 67/],
    ['{"name":"n","device_type":"netkit"}', 2, /device_type 'netkit' is not supported; use veth/],
    ['{"name":"n","nodename":7}', 7, /nodename must be a string, not number 7/],
    ['{"name":"n","policy":{"type":[]}}', 7, /policy\.type must be a string, not a list/],
    ['{"name":"n","dns":{"search":"x"}}', 7, /dns\.search must be a list of strings/],
    ['{"name":"n","ipam":{"assign_ipv4":"yes"}}', 7, /ipam\.assign_ipv4 must be "true" or "false"/],
    ['{"name":"n","ipam":{"gateway":"x"}}', 7, /ipam\.gateway 'x' is no IP address/],
    ['{"name":"n","ipam":{"routes":[{}]}}', 7, /ipam\.routes needs a dst/],
    ['{"name":"n","ipam":{"subnet":"usePodCidr"}}', 7, /only with ipam\.type host-local/],
    ['{"name":"n","prevResult":{"ips":[{}]}}', 6, /prevResult: ips/],
    ['{"name":"n","mtu":70000}', 7, /mtu 70000/],
    ['{"name":"n","ipam":[]}', 7, /ipam must be an object, not a list/],
    ['{"name":"n","ipam":{"type":"../x"}}', 7, /path separators/],
    ['{"name":"n","ipam":{"ipv4_pools":"a"}}', 7, /ipam.ipv4_pools must be a list of strings/],
    ['{"name":"n","cniVersion":"9.9.9"}', 1, /9\.9\.9 is not supported; use one of 0\.1\.0/],
  ];
  for (const [stdin, code, msg] of cases) {
    const config = parseConfig(stdin);
    assert.ok(!config.ok, stdin);
    assert.equal(config.error.code, code, stdin);
    assert.match(config.error.msg, msg);
    assert.doesNotMatch(config.error.msg, /secret/);
  }
});

test('policy_setup_timeout_seconds: 0 and nothing mean the agent’s own time; bounded', () => {
  const parsed = (more: object) =>
    parseConfig(JSON.stringify({ name: 'n', type: 'calico', ...more }));
  const millisecondsOf = (more: object) => {
    const config = parsed(more);
    return config.ok ? config.value.policySetupMilliseconds : config.error.msg;
  };
  const given = (seconds: unknown) => millisecondsOf({ policy_setup_timeout_seconds: seconds });
  assert.deepEqual([millisecondsOf({}), given(0), given(-1)], [undefined, undefined, undefined]);
  assert.deepEqual([given(2), given(3600)], [2000, 60_000]);
  assert.match(String(given('5')), /policy_setup_timeout_seconds must be a number/);
});

test('unknown keys are reported, not refused', () => {
  const config = parseConfig('{"name":"n","surprise":1,"ipam":{"odd":2},"mtu":null}');
  assert.ok(config.ok);
  assert.deepEqual(config.value.unknownKeys, ['surprise', 'ipam.odd']);
});

test('keys are read as Go reads them, and another IPAM plugin’s section is its own', () => {
  const config = parseConfig(
    '{"name":"n","Policy":{"type":"k8s"},"ipam":{"type":"host-local","subnet":[1],"any":2}}',
  );
  assert.ok(config.ok);
  assert.equal(config.value.kubernetesPolicy, true);
  assert.equal(config.value.ipamType, 'host-local');
  assert.deepEqual(config.value.unknownKeys, []);
});

test('environment: what is missing is named', () => {
  const cases: [Record<string, string>, number, RegExp][] = [
    [{}, 4, /CNI_COMMAND is ''/],
    [{ CNI_COMMAND: 'FLY' }, 4, /CNI_COMMAND is 'FLY'/],
    [{ CNI_COMMAND: 'ADD', CNI_IFNAME: 'eth0' }, 4, /ADD needs CNI_CONTAINERID, CNI_NETNS/],
    [{ CNI_COMMAND: 'DEL', CNI_IFNAME: 'eth0' }, 4, /DEL needs CNI_CONTAINERID/],
    [{ ...env, CNI_IFNAME: 'a/b' }, 4, /CNI_IFNAME/],
    [{ ...env, CNI_CONTAINERID: '../x' }, 4, /CNI_CONTAINERID/],
    [{ ...env, CNI_COMMAND: 'constructor' }, 4, /CNI_COMMAND is 'constructor'/],
    [{ ...env, CNI_ARGS: 'IP=garbage' }, 4, /IP='garbage' is no IP address/],
    [{ CNI_COMMAND: 'GC' }, 4, /GC needs CNI_PATH/],
    [{ ...env, CNI_COMMAND: 'CHECK' }, 1, /CHECK needs cniVersion 0\.4\.0 or newer, not 0\.3\.0/],
    [{ CNI_COMMAND: 'STATUS' }, 1, /STATUS needs cniVersion 1\.1\.0/],
  ];
  for (const [bad, code, msg] of cases) {
    const request = parseRequest(bad, slides);
    assert.ok(!request.ok);
    assert.equal(request.error.code, code);
    assert.match(request.error.msg, msg);
  }
});

test('GC and STATUS name no container; GC and CHECK need what they compare with', () => {
  const at = (version: string, more: object = {}) =>
    JSON.stringify({ name: 'n', cniVersion: version, ...more });
  const gc = { CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin' };
  const valid = [{ containerID: 'c', ifname: 'eth0' }];
  const parsed = parseRequest(gc, at('1.1.0', { 'cni.dev/valid-attachments': valid }));
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.attachments, [{ containerId: 'c', ifname: 'eth0' }]);
  assert.ok(parseRequest({ CNI_COMMAND: 'STATUS' }, at('1.1.0')).ok);
  const none = parseRequest(gc, at('1.1.0', { 'cni.dev/valid-attachments': null }));
  assert.deepEqual(none.ok && none.value.attachments, []);
  const refused: [Record<string, string>, string, RegExp][] = [
    [gc, at('1.1.0'), /GC needs cni\.dev\/valid-attachments/],
    [gc, at('1.1.0', { 'cni.dev/valid-attachments': [{ ifname: 'eth0' }] }), /\[0\] needs/],
    [{ ...env, CNI_COMMAND: 'CHECK' }, at('0.4.0'), /CHECK needs prevResult/],
  ];
  for (const [e, stdin, msg] of refused) {
    const request = parseRequest(e, stdin);
    assert.equal(request.ok ? 0 : request.error.code, 7);
    assert.match(request.ok ? '' : request.error.msg, msg);
  }
});

test('a request never throws, whatever arrives', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.string()),
      fc.string(),
      fc.jsonValue(),
      (e, text, json) => {
        parseRequest({ ...env, ...e }, text);
        parseRequest(env, JSON.stringify(json));
      },
    ),
  );
});

function slidesRequest() {
  const request = parseRequest(env, slides);
  assert.ok(request.ok);
  return request.value;
}

test('a pod request: handle, endpoint name, interface', () => {
  const request = slidesRequest();
  assert.equal(handleIdOf(request), 'k8s-pod-network.c1');
  assert.deepEqual(endpointIdentity('k8s-n1', request), {
    namespace: 'default',
    name: 'k8s--n1-k8s-nginx-eth0',
    key: '/calico/resources/v3/projectcalico.org/workloadendpoints/default/k8s--n1-k8s-nginx-eth0',
    hostInterface: 'calic440f455693',
  });
});

const result = {
  hostInterface: 'calic440f455693',
  containerInterface: 'eth0',
  mac: mac('ca:95:52:da:6d:82'),
  mtu: 1500,
  sandbox: '/run/netns/x',
  ips: [ip('192.168.166.128')],
};

test('results by version', () => {
  const host = { name: 'calic440f455693' };
  const container = { name: 'eth0', mac: 'ca:95:52:da:6d:82', sandbox: '/run/netns/x' };
  const before1 = { interfaces: [host, container] };
  const since1 = { interfaces: [host, { ...container, mtu: 1500 }] };
  const address = '192.168.166.128/32';
  const versioned = [{ version: '4', interface: 1, address }];
  const cases: [string, object][] = [
    ['0.1.0', { ip4: { ip: address }, dns: {} }],
    ['0.2.0', { ip4: { ip: address }, dns: {} }],
    ['0.3.0', { ...before1, ips: versioned, dns: {} }],
    ['0.3.1', { ...before1, ips: versioned, dns: {} }],
    ['0.4.0', { ...before1, ips: versioned, dns: {} }],
    ['1.0.0', { ...since1, ips: [{ interface: 1, address }] }],
    ['1.1.0', { ...since1, ips: [{ interface: 1, address }] }],
  ];
  for (const [version, expected] of cases) {
    const printed = JSON.parse(printResult(version, result));
    assert.deepEqual(printed, { cniVersion: version, ...expected });
    // What we print we can read, whatever the version.
    const read = parseResult(printed);
    assert.deepEqual(read.ok && read.value.ips.map((ip) => ip.address), [address]);
  }
});

test('a result behind another plugin’s: both, with the indices of the whole', () => {
  const previous = parseResult({
    cniVersion: '1.1.0',
    interfaces: [{ name: 'lo', sandbox: '/run/netns/x', pciID: 'kept' }],
    ips: [{ address: '127.0.0.1/8', interface: 0 }],
    routes: [{ dst: '10.0.0.0/8', mtu: 1400 }],
    dns: { nameservers: ['10.0.0.10'] },
  });
  assert.ok(previous.ok);
  const printed = JSON.parse(printResult('1.1.0', { ...result, previous: previous.value }));
  assert.deepEqual(printed, {
    cniVersion: '1.1.0',
    interfaces: [
      { name: 'lo', sandbox: '/run/netns/x', pciID: 'kept' },
      { name: 'calic440f455693' },
      { name: 'eth0', mac: 'ca:95:52:da:6d:82', mtu: 1500, sandbox: '/run/netns/x' },
    ],
    ips: [
      { address: '127.0.0.1/8', interface: 0 },
      { interface: 2, address: '192.168.166.128/32' },
    ],
    routes: [{ dst: '10.0.0.0/8', mtu: 1400 }],
    dns: { nameservers: ['10.0.0.10'] },
  });
});

test('calico-ipam’s result: Calico’s shape, or with a gateway in the pool’s prefix', () => {
  const pool = { metadata: { name: 'p' }, spec: { cidr: '10.1.0.0/16' } };
  const pools = [{ kind: 'IPPool' as const, apiVersion: '', ...pool }];
  const print = (config: Parameters<typeof printIpamResult>[0]) =>
    JSON.parse(printIpamResult(config, [ip('10.1.2.3')], pools));
  assert.deepEqual(print({ cniVersion: '1.0.0', gateway: undefined, ipamRoutes: [] }), {
    cniVersion: '1.0.0',
    ips: [{ address: '10.1.2.3/32' }],
    routes: [{ dst: '10.1.2.3/32' }],
  });
  const routes = [{ dst: '0.0.0.0/0' }];
  assert.deepEqual(
    print({ cniVersion: '0.4.0', gateway: ip('10.1.255.254'), ipamRoutes: routes }),
    {
      cniVersion: '0.4.0',
      ips: [{ version: '4', address: '10.1.2.3/16', gateway: '10.1.255.254' }],
      routes,
      dns: {},
    },
  );
});

test('interfaces of one container share no name', () => {
  const named = (ifname: string, withPod = true) => {
    const args = withPod ? env.CNI_ARGS : '';
    const parsed = parseRequest({ ...env, CNI_IFNAME: ifname, CNI_ARGS: args }, slides);
    assert.ok(parsed.ok);
    const { hostInterface, key } = endpointIdentity('n1', parsed.value);
    assert.match(hostInterface, /^cali[0-9a-z]{1,11}$/);
    return [hostInterface, key, handleIdOf(parsed.value)];
  };
  const all = [...named('eth0'), ...named('net1'), ...named('net2')];
  assert.equal(new Set(all).size, 9);
  assert.equal(new Set([...named('eth0', false), ...named('net1', false)]).size, 6);
});

test('the endpoint as Calico stores it', () => {
  const request = slidesRequest();
  const identity = endpointIdentity('node1', request);
  const pod = {
    metadata: { name: 'nginx', namespace: 'default', labels: { app: 'web' } },
    spec: {
      serviceAccountName: 'sa',
      containers: [
        { name: 'c', ports: [{ name: 'http', containerPort: 80 }, { containerPort: 81 }] },
      ],
    },
  };
  const endpoint = buildEndpoint({
    node: 'node1',
    request,
    identity,
    pod,
    mac: result.mac,
    ips: result.ips,
    uid: 'u',
    creationTimestamp: '2026-01-01T00:00:00Z',
  });
  assert.deepEqual(endpoint.metadata.labels, {
    app: 'web',
    'projectcalico.org/namespace': 'default',
    'projectcalico.org/orchestrator': 'k8s',
    'projectcalico.org/serviceaccount': 'sa',
  });
  assert.deepEqual(endpoint.spec.profiles, ['kns.default', 'ksa.default.sa']);
  assert.deepEqual(endpoint.spec.ipNetworks, ['192.168.166.128/32']);
  assert.deepEqual(endpoint.spec.ports, [
    { name: 'http', protocol: 'TCP', port: 80, hostPort: 0, hostIP: '' },
  ]);
});

test('the pod side: /32, gateway 169.254.1.1 on no interface', () => {
  const changes = podAddresses(7, [ip('10.0.0.1'), ip('fd00::1')]);
  const routes = changes.flatMap((c) => (c.kind === 'addRoute' ? [c.route] : []));
  assert.deepEqual(
    routes.map((r) => `${r.destination} ${r.gateway ?? ''} ${r.scope}`),
    [
      '169.254.1.1/32  link',
      '0.0.0.0/0 169.254.1.1 global',
      '::/0 fe80::ecee:eeff:feee:eeee global',
    ],
  );
});

test('a field that Calico has and we do not know stays in a stored endpoint; what is not wished for goes', () => {
  const request = slidesRequest();
  const stored = {
    kind: 'WorkloadEndpoint' as const,
    apiVersion: 'projectcalico.org/v3',
    metadata: {
      name: 'x',
      namespace: 'default',
      creationTimestamp: '2020-01-01T00:00:00Z',
      annotations: { kept: 'yes' },
      generation: 7,
    },
    spec: {
      orchestrator: 'k8s',
      node: 'node1',
      endpoint: 'eth0',
      qosControls: { ingressBandwidth: 1000 },
      ipNATs: [{ internalIP: '10.0.0.1', externalIP: '1.2.3.4' }],
    },
  };
  const endpoint = buildEndpoint({
    node: 'node1',
    request,
    identity: endpointIdentity('node1', request),
    pod: undefined,
    mac: result.mac,
    ips: result.ips,
    uid: 'u',
    creationTimestamp: '2026-01-01T00:00:00Z',
    stored,
    sourcePrefixes: [cidr('10.9.0.0/16')],
  });
  const { metadata, spec } = JSON.parse(printResource(endpoint));
  assert.equal(metadata.creationTimestamp, '2020-01-01T00:00:00Z');
  assert.deepEqual([metadata.annotations, metadata.generation], [{ kept: 'yes' }, 7]);
  assert.deepEqual(spec.qosControls, { ingressBandwidth: 1000 });
  assert.deepEqual(spec.allowSpoofedSourcePrefixes, ['10.9.0.0/16']);
  assert.equal('ipNATs' in spec, false);
});

test('sysctls: no router advertisements on either end, with and without IPv6; no route_localnet', () => {
  for (const hasV6 of [false, true]) {
    const all = [...hostSysctls('calix', hasV6), ...podSysctlsBefore('eth0', hasV6)];
    const keys = new Map(all);
    assert.equal(keys.get('ipv6/conf/calix/accept_ra'), '0');
    assert.equal(keys.get('ipv6/conf/eth0/accept_ra'), '0');
    assert.ok(![...keys.keys()].some((key) => key.includes('route_localnet')));
  }
  assert.deepEqual(podSysctls(true, true), [
    ['ipv4/ip_forward', '1'],
    ['ipv6/conf/all/forwarding', '1'],
  ]);
  assert.deepEqual(podSysctls(false), [['ipv4/ip_forward', '0']]);
});

test('routes of another IPAM plugin replace the default routes, unless both are asked for', () => {
  const own = [{ dst: '10.0.0.0/8' }];
  assert.deepEqual(destinationsOf([], false), ['0.0.0.0/0', '::/0']);
  assert.deepEqual(destinationsOf(own, false), ['10.0.0.0/8']);
  assert.deepEqual(destinationsOf(own, true), ['10.0.0.0/8', '0.0.0.0/0', '::/0']);
});

test('errors: code, message, version', () => {
  assert.equal(
    printCniError('0.3.0', { code: 11, msg: 'x' }),
    '{"cniVersion":"0.3.0","code":11,"msg":"x"}',
  );
});
