// What settings of the node and the size of the cluster change in the rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readService } from './read.ts';
import { endpoints, OPTIONS, service } from './render.cases.ts';
import { RENDER_MODES, RENDERERS } from './render.ts';
import type { RenderOptions } from './rules.ts';

const ports = (protocol: string) => [{ name: 'http', protocol, port: 80, nodePort: 30_080 }];
const balanced = service({ type: 'NodePort', sessionAffinity: 'ClientIP', ports: ports('TCP') });
const two = endpoints({}, {});

for (const mode of RENDER_MODES) {
  const { fixed, service: render } = RENDERERS[mode];
  const rulesOf = (options: Partial<RenderOptions>): readonly (readonly [string, string])[] => {
    const [port] = readService(4, balanced, [two], 'n1');
    const { nat } = render(port!, { ...OPTIONS, ...options });
    return [...nat].flatMap(([chain, rules]) => rules.map((rule) => [chain, rule] as const));
  };

  test(`${mode}, very many endpoints: the same rules, those of endpoints without comments`, () => {
    const [small, large] = [rulesOf({ isLarge: false }), rulesOf({ isLarge: true })];
    const ofEndpoints = ([chain, rule]: readonly [string, string]): boolean =>
      chain.startsWith('KUBE-SEP-') || rule.includes('-j KUBE-SEP-');
    assert.deepEqual(
      large,
      small.map(([chain, rule]) => [
        chain,
        ofEndpoints([chain, rule]) ? rule.replace(/-m comment --comment "[^"]*" /, '') : rule,
      ]),
    );
    assert.equal(large.filter(ofEndpoints).length, 8);
    assert.ok(large.every((one) => !ofEndpoints(one) || !one[1].includes('comment')));
  });

  test(`${mode}, node ports on loopback: only where asked for, and behind two guards`, () => {
    const off = fixed(OPTIONS);
    assert.equal(off.raw, undefined);
    assert.equal(off.filter.chains.has('KUBE-FIREWALL'), false);
    const on = fixed({ ...OPTIONS, localhostNodePorts: true });
    assert.match(on.filter.chains.get('KUBE-FIREWALL')!.join(), /-d 127.0.0.0\/8 ! -s .* -j DROP$/);
    assert.ok(on.filter.hooks.get('INPUT')!.includes('-j KUBE-FIREWALL'));
    assert.match([...on.raw!.chains.values()].join(), / ! -i lo -d 127.0.0.0\/8 -j DROP$/);
    assert.doesNotMatch(on.nat.chains.get('KUBE-SERVICES')!.join(), /127/);
  });
}

test('node ports are for other addresses than loopback; what is called there has a counter of its own', () => {
  const last = (options: Partial<RenderOptions>) =>
    RENDERERS.modern
      .fixed({ ...OPTIONS, ...options })
      .nat.chains.get('KUBE-SERVICES')!
      .at(-1);
  assert.match(last({}) ?? '', / ! -d 127.0.0.0\/8 -j KUBE-NODEPORTS$/);
  assert.match(last({ family: 6 }) ?? '', / ! -d ::1\/128 -j KUBE-NODEPORTS$/);
  const [port] = readService(4, balanced, [two], 'n1');
  const rules = RENDERERS.modern
    .service(port!, { ...OPTIONS, localhostNodePorts: true })
    .nat.get('KUBE-NODEPORTS')!;
  assert.deepEqual(
    rules.map((rule) => rule.replace(/ -j .*/, '').replace(/.*" /, '')),
    ['-d 127.0.0.0/8 -m tcp -p tcp --dport 30080', '-m tcp -p tcp --dport 30080'],
  );
});

test('a liberal conntrack calls nothing invalid that should be dropped', () => {
  const forward = (dropsInvalid: boolean) =>
    RENDERERS.modern.fixed({ ...OPTIONS, dropsInvalid }).filter.chains.get('KUBE-FORWARD')!;
  assert.equal(forward(true)[0], '-m conntrack --ctstate INVALID -j DROP');
  assert.deepEqual(forward(false), forward(true).slice(1));
});

test('a slice’s port of the same name and another protocol is another port', () => {
  const udp = service({ ports: ports('UDP') });
  const [port] = readService(4, udp, [two], 'n1');
  assert.deepEqual(port!.endpoints, []);
});
