import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { parseConfig } from './config.ts';
import { buildEndpoint, endpointIdentity } from './endpoint.ts';
import { printCniError } from './errors.ts';
import { podChanges } from './plan.ts';
import { handleIdOf, parseRequest } from './request.ts';
import { printResult } from './result.ts';

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
    ['{"name":"n","mtu":70000}', 7, /mtu 70000/],
    ['{"name":"n","ipam":[]}', 7, /ipam must be an object, not a list/],
    ['{"name":"n","ipam":{"type":"../x"}}', 7, /path separators/],
    ['{"name":"n","ipam":{"ipv4_pools":"a"}}', 7, /ipam.ipv4_pools must be a list of strings/],
    ['{"name":"n","ipam":{"type":"host-local"}}', 7, /host-local/],
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

test('unknown keys are reported, not refused', () => {
  const config = parseConfig('{"name":"n","surprise":1}');
  assert.ok(config.ok);
  assert.deepEqual(config.value.unknownKeys, ['surprise']);
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
  ];
  for (const [bad, code, msg] of cases) {
    const request = parseRequest(bad, slides);
    assert.ok(!request.ok);
    assert.equal(request.error.code, code);
    assert.match(request.error.msg, msg);
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
  sandbox: '/run/netns/x',
  ips: [ip('192.168.166.128')],
};

test('results by version', () => {
  const interfaces = [
    { name: 'calic440f455693' },
    { name: 'eth0', mac: 'ca:95:52:da:6d:82', sandbox: '/run/netns/x' },
  ];
  const address = '192.168.166.128/32';
  const cases: [string, object][] = [
    ['0.2.0', { cniVersion: '0.2.0', ip4: { ip: address }, dns: {} }],
    [
      '0.3.0',
      { cniVersion: '0.3.0', interfaces, ips: [{ version: '4', interface: 1, address }], dns: {} },
    ],
    [
      '0.4.0',
      { cniVersion: '0.4.0', interfaces, ips: [{ version: '4', interface: 1, address }], dns: {} },
    ],
    ['1.0.0', { cniVersion: '1.0.0', interfaces, ips: [{ interface: 1, address }], dns: {} }],
  ];
  for (const [version, expected] of cases) {
    assert.deepEqual(JSON.parse(printResult(version, result)), expected);
  }
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
  const changes = podChanges(7, [ip('10.0.0.1'), ip('fd00::1')]);
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

test('errors: code, message, version', () => {
  assert.equal(
    printCniError('0.3.0', { code: 11, msg: 'x' }),
    '{"cniVersion":"0.3.0","code":11,"msg":"x"}',
  );
});
