import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CNI_PLACEHOLDERS } from '../../model/settings/importing/placeholders.ts';
import { renderKubeconfig } from './kubeconfig.ts';
import { placeholdersOf, renderConflist } from './render-conflist.ts';

const TEMPLATE = `{
  "name": "k8s-pod-network", "cniVersion": "0.3.0",
  "plugins": [
    { "type": "calico", "etcd_endpoints": "__ETCD_ENDPOINTS__", "log_level": "__LOG_LEVEL__",
      "mtu": __CNI_MTU__, "ipam": { "type": "calico-ipam" },
      "policy": { "type": "k8s",
        "k8s_api_root": "https://__KUBERNETES_SERVICE_HOST__:__KUBERNETES_SERVICE_PORT__",
        "k8s_auth_token": "__SERVICEACCOUNT_TOKEN__" },
      "kubernetes": { "kubeconfig": "__KUBECONFIG_FILEPATH__" } },
    { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } }
  ]
}`;

const ENV = {
  ETCD_ENDPOINTS: 'http://10.96.232.136:6666',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  KUBERNETES_SERVICE_PORT: '443',
};
const FACTS = { hostName: 'K8sM1', token: '<auth token>' };
const render = (template: string, env: Record<string, string> = ENV) =>
  renderConflist(template, placeholdersOf(env, FACTS));

describe('the network configuration', () => {
  test('is the demonstration cluster’s, key for key', () => {
    const rendered = render(TEMPLATE);
    assert.ok(rendered.ok);
    assert.deepEqual(JSON.parse(rendered.value), {
      name: 'k8s-pod-network',
      cniVersion: '0.3.0',
      plugins: [
        {
          type: 'calico',
          etcd_endpoints: 'http://10.96.232.136:6666',
          log_level: 'info',
          mtu: 1500,
          ipam: { type: 'calico-ipam' },
          policy: {
            type: 'k8s',
            k8s_api_root: 'https://10.96.0.1:443',
            k8s_auth_token: '<auth token>',
          },
          kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig' },
        },
        { type: 'portmap', snat: true, capabilities: { portMappings: true } },
      ],
    });
  });

  test('the words that settings may use are those that are replaced', () => {
    assert.deepEqual([...placeholdersOf({}, FACTS).keys()].sort(), [...CNI_PLACEHOLDERS].sort());
  });

  test('every placeholder has its text', () => {
    const cases: [string, Record<string, string>, string][] = [
      ['__CNI_MTU__', { CNI_MTU: '1480' }, '1480'],
      ['"__CNI_MTU__"', { CNI_MTU: '1480' }, '1480'],
      ['"__KUBECONFIG_FILEPATH__"', { CNI_NET_DIR: '/etc/cni' }, '"/etc/cni/calico-kubeconfig"'],
      ['"__KUBECONFIG_FILENAME__"', {}, '"calico-kubeconfig"'],
      ['"__KUBERNETES_NODE_NAME__"', {}, '"k8sm1"'],
      ['"__KUBERNETES_NODE_NAME__"', { NODENAME: 'n1' }, '"n1"'],
      ['"__ETCD_CERT_FILE__"', {}, '""'],
      ['"__LOG_FILE_PATH__"', {}, '"/var/log/calico/cni/cni.log"'],
      ['__REQUIRE_MTU_FILE__', {}, 'false'],
    ];
    for (const [placeholder, env, text] of cases) {
      const rendered = render(`{"a":${placeholder}}`, env);
      assert.deepEqual(rendered, { ok: true, value: `{"a":${text}}` });
    }
  });

  test('what cannot be used is refused by name', () => {
    const cases: [string, Record<string, string>, RegExp][] = [
      ['{"a":"__WHAT__"}', {}, /unknown placeholder __WHAT__; known: __CALICO_API_GROUP__/],
      ['{"a":__CNI_MTU__}', { CNI_MTU: 'big' }, /CNI_MTU: 'big' must be a number/],
      ['{"a":', {}, /no JSON object/],
      ['[]', {}, /no JSON object/],
    ];
    for (const [template, env, message] of cases) {
      const rendered = render(template, env);
      assert.ok(!rendered.ok);
      assert.match(rendered.error, message);
    }
  });

  test('any value arrives as the string it is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (ETCD_ENDPOINTS) => {
        const rendered = render('{"a":"__ETCD_ENDPOINTS__"}', { ETCD_ENDPOINTS });
        assert.ok(rendered.ok);
        assert.deepEqual(JSON.parse(rendered.value), { a: ETCD_ENDPOINTS });
      }),
    );
  });
});

test('the kubeconfig brackets an IPv6 server and carries the authority', () => {
  const text = renderKubeconfig({ host: 'fd00::1', port: '443', token: 't', authority: 'PEM' });
  const config = JSON.parse(text) as { clusters: { cluster: Record<string, string> }[] };
  assert.deepEqual(config.clusters[0]?.cluster, {
    server: 'https://[fd00::1]:443',
    'certificate-authority-data': 'UEVN',
  });
});
