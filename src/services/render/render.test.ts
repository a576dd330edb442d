// What services ask for, as restore text. That it is kube-proxy's is proved beside a real one
// (test/kube-proxy); here each case stands where it can be read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hash16 } from './names.ts';
import type { EndpointSliceObject, ServiceObject } from './objects.ts';
import { readService } from './read.ts';
import { type At, endpoints, OPTIONS, service, VIP } from './render.cases.ts';
import { RENDERERS, type RenderMode } from './render.ts';
import type { RenderOptions } from './rules.ts';

/** `table chain rule`, without comments. */
function rendered(
  object: ServiceObject,
  slice: EndpointSliceObject,
  mode: RenderMode = 'modern',
  options: Partial<RenderOptions> = {},
): readonly string[] {
  const [port] = readService(4, object, [slice], 'n1');
  assert.ok(port);
  const out = RENDERERS[mode].service(port, { ...OPTIONS, ...options });
  return (['filter', 'nat'] as const).flatMap((table) =>
    [...out[table]].flatMap(([chain, rules]) =>
      rules.map(
        (rule) => `${table} ${chain} ${rule.replace(/-m comment --comment "[^"]*" ?/, '')}`,
      ),
    ),
  );
}

const KEY = hash16('shop/web:httptcp');
const sep = (n: number): string => `KUBE-SEP-${hash16(`shop/web:httptcp10.0.0.${n}:8080`)}`;
const TO_VIP = `-m tcp -p tcp -d ${VIP} --dport 80`;
/** Who a chain leads to, in order. */
const leads = (rules: readonly string[], chain: string): readonly string[] =>
  rules
    .filter((rule) => rule.startsWith(`nat ${chain} `) && !rule.endsWith('KUBE-MARK-MASQ'))
    .map((rule) => rule.split(' -j ')[1] ?? rule.split('-j ')[1]!);

test('names of chains: the services and endpoints of Kubernetes’ own system', () => {
  for (const [text, hash] of [
    ['kube-system/calico-etcd:tcp', 'NTYB37XIWATNM25Y'],
    ['kube-system/kube-dns:dnsudp', 'TCOU7JCQXEZGVUNU'],
    ['kube-system/kube-dns:dns-tcptcp', 'ERIFXISQEP7F7OF4'],
    ['default/kubernetes:httpstcp', 'NPX46M4PTMTKRN6Y'],
    ['default/nginx:tcp', '4N57TFCL4MD7ZTDA'],
    ['default/nginxtcp', '2CMXP7HKUVJN7L6M'],
    ['default/nginx:tcp192.168.104.3:80', 'F2W2OWMV4YNNQT44'],
    ['default/nginx:tcp192.168.219.68:80', 'F6H4BEWBSORHU2YI'],
    ['default/nginx:tcp192.168.166.131:80', 'WEWK3DETZSAOVCUI'],
  ])
    assert.equal(hash16(text!), hash);
});

test('cluster IP: every rule', () => {
  assert.deepEqual(rendered(service({}), endpoints({}, {})), [
    `nat KUBE-SERVICES ${TO_VIP} -j KUBE-SVC-${KEY}`,
    `nat KUBE-SVC-${KEY} ${TO_VIP} ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`,
    `nat KUBE-SVC-${KEY} -m statistic --mode random --probability 0.5000000000 -j ${sep(1)}`,
    `nat KUBE-SVC-${KEY} -j ${sep(2)}`,
    `nat ${sep(1)} -s 10.0.0.1 -j KUBE-MARK-MASQ`,
    `nat ${sep(1)} -m tcp -p tcp -j DNAT --to-destination 10.0.0.1:8080`,
    `nat ${sep(2)} -s 10.0.0.2 -j KUBE-MARK-MASQ`,
    `nat ${sep(2)} -m tcp -p tcp -j DNAT --to-destination 10.0.0.2:8080`,
  ]);
});

test('cluster IP in 2018: masquerading stands before the jump, probabilities have five digits', () => {
  const old = (text: string): string => hash16(`shop/web:httptcp${text}`);
  assert.deepEqual(rendered(service({}), endpoints({}, {}, {}), '2018').slice(0, 5), [
    `nat KUBE-SERVICES ${TO_VIP} ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`,
    `nat KUBE-SERVICES ${TO_VIP} -j KUBE-SVC-${KEY}`,
    `nat KUBE-SVC-${KEY} -m statistic --mode random --probability 0.33333 -j KUBE-SEP-${old('10.0.0.1:8080')}`,
    `nat KUBE-SVC-${KEY} -m statistic --mode random --probability 0.50000 -j KUBE-SEP-${old('10.0.0.2:8080')}`,
    `nat KUBE-SVC-${KEY} -j KUBE-SEP-${old('10.0.0.3:8080')}`,
  ]);
});

test('nobody in the cluster: refused as a closed port; nobody here only: silence', () => {
  const none = rendered(service({ externalIPs: ['198.51.100.1'] }), endpoints());
  assert.deepEqual(none, [
    `filter KUBE-SERVICES ${TO_VIP} -j REJECT`,
    'filter KUBE-EXTERNAL-SERVICES -m tcp -p tcp -d 198.51.100.1 --dport 80 -j REJECT',
  ]);
  const away = rendered(service({ internalTrafficPolicy: 'Local' }), endpoints({ node: 'n2' }));
  assert.deepEqual(away, [`filter KUBE-SERVICES ${TO_VIP} -j DROP`]);
});

test('endpoints: the ready ones, else those that serve to their end; those with a hint for here', () => {
  const chosen = (...all: readonly At[]) =>
    leads(rendered(service({}), endpoints(...all)), `KUBE-SVC-${KEY}`);
  const ending: At = { ready: false, terminating: true };
  assert.deepEqual(chosen({}, { ready: false }, ending), [sep(1)]);
  assert.deepEqual(chosen({ ready: false }, ending), [sep(2)]);
  assert.deepEqual(chosen({ zone: 'west' }, { zone: 'east' }), [sep(2)]);
  assert.deepEqual(chosen({ zone: 'west' }, { zone: 'west' }), [sep(1), sep(2)], 'none for here');
  assert.deepEqual(chosen({ zone: 'east' }, {}), [sep(1), sep(2)], 'not all have hints');
});

test('from outside: node port, external IP; Local keeps the client’s address', () => {
  const spec = {
    type: 'NodePort',
    externalIPs: ['198.51.100.1'],
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }],
  };
  const open = rendered(service(spec), endpoints({ node: 'n2' }, {}));
  assert.ok(open.includes(`nat KUBE-NODEPORTS -m tcp -p tcp --dport 30080 -j KUBE-EXT-${KEY}`));
  assert.ok(
    open.includes(`nat KUBE-SERVICES -m tcp -p tcp -d 198.51.100.1 --dport 80 -j KUBE-EXT-${KEY}`),
  );
  assert.deepEqual(
    open.filter((rule) => rule.startsWith(`nat KUBE-EXT-${KEY}`)),
    [`nat KUBE-EXT-${KEY} -j KUBE-MARK-MASQ`, `nat KUBE-EXT-${KEY} -j KUBE-SVC-${KEY}`],
  );
  const local = rendered(
    service({ ...spec, externalTrafficPolicy: 'Local' }),
    endpoints({ node: 'n2' }, {}),
  );
  assert.deepEqual(
    local.filter((rule) => rule.startsWith(`nat KUBE-EXT-${KEY}`)),
    [
      `nat KUBE-EXT-${KEY} -s 10.0.0.0/8 -j KUBE-SVC-${KEY}`,
      `nat KUBE-EXT-${KEY} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
      `nat KUBE-EXT-${KEY} -m addrtype --src-type LOCAL -j KUBE-SVC-${KEY}`,
      `nat KUBE-EXT-${KEY} -j KUBE-SVL-${KEY}`,
    ],
  );
  assert.deepEqual(leads(local, `KUBE-SVL-${KEY}`), [sep(2)]);
});

test('a load balancer’s address: who is in no source range comes no further, in both shapes', () => {
  const object = service(
    { type: 'LoadBalancer', loadBalancerSourceRanges: ['203.0.113.0/24', '192.0.2.0/24'] },
    { loadBalancer: { ingress: [{ ip: '198.51.100.9' }] } },
  );
  const toAddress = '-m tcp -p tcp -d 198.51.100.9 --dport 80';
  const today = rendered(object, endpoints({}));
  assert.ok(today.includes(`nat KUBE-SERVICES ${toAddress} -j KUBE-FW-${KEY}`));
  assert.ok(today.includes(`filter KUBE-PROXY-FIREWALL ${toAddress} -j DROP`));
  const sources = (rules: readonly string[]) =>
    rules.flatMap((rule) => /^nat KUBE-FW-\S+ -s (\S+) -j/.exec(rule)?.[1] ?? []);
  // The node itself is in a range: so is its own traffic to the address.
  const wanted = ['203.0.113.0/24', '192.0.2.0/24', '198.51.100.9'];
  assert.deepEqual(sources(today), wanted);
  const then = rendered(object, endpoints({}), '2018');
  assert.deepEqual(sources(then), wanted);
  assert.equal(
    then.findLast((rule) => rule.startsWith('nat KUBE-FW-')),
    `nat KUBE-FW-${KEY} -j KUBE-MARK-DROP`,
  );
});

test('session affinity: first where the client was, then by chance; remembered at the endpoint', () => {
  const spec = {
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
  };
  for (const mode of ['modern', '2018'] as const) {
    const rules = rendered(service(spec), endpoints({}), mode);
    assert.deepEqual(
      rules.filter((rule) => rule.includes('-m recent')),
      [
        `nat KUBE-SVC-${KEY} -m recent --name ${sep(1)} --rcheck --seconds 60 --reap -j ${sep(1)}`,
        `nat ${sep(1)} -m recent --name ${sep(1)} --set -m tcp -p tcp -j DNAT --to-destination 10.0.0.1:8080`,
      ],
    );
  }
});

test('2018, Local: pods go anywhere, others to endpoints of this node, or nowhere', () => {
  const object = service({
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }],
  });
  const here = rendered(object, endpoints({ node: 'n2' }, {}), '2018');
  assert.deepEqual(leads(here, 'KUBE-NODEPORTS'), [`KUBE-XLB-${KEY}`]);
  assert.deepEqual(leads(here, `KUBE-XLB-${KEY}`), [`KUBE-SVC-${KEY}`, sep(2)]);
  const away = rendered(object, endpoints({ node: 'n2' }), '2018');
  assert.deepEqual(leads(away, `KUBE-XLB-${KEY}`), [`KUBE-SVC-${KEY}`, 'KUBE-MARK-DROP']);
});

test('no service of ours: headless, ExternalName, another proxy’s, another family’s', () => {
  for (const object of [
    service({ clusterIP: 'None' }),
    service({ type: 'ExternalName', clusterIP: '' }),
    service({ clusterIP: 'fd00::1' }),
    ...['service-proxy-name', 'headless'].map((label) => ({
      ...service({}),
      metadata: { name: 'web', labels: { [`service.kubernetes.io/${label}`]: '' } },
    })),
  ])
    assert.deepEqual(readService(4, object, [endpoints({})], 'n1'), []);
});
