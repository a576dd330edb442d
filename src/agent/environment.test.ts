import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEnvironment } from './environment.ts';

const good = { ETCD_ENDPOINTS: 'http://10.96.232.136:6666' };

test('defaults', () => {
  const settings = parseEnvironment(good);
  assert.ok(settings.ok);
  assert.equal(settings.value.healthPort, 9099);
  assert.equal(settings.value.endpointToHostAction, 'RETURN');
  assert.equal(settings.value.kubernetes, false);
  assert.equal(settings.value.addressPollMilliseconds, 60_000);
  const other = parseEnvironment({ ...good, AUTODETECT_POLL_INTERVAL: '1m30s' });
  assert.ok(other.ok && other.value.addressPollMilliseconds === 90_000);
});

test('the chart default beats: ACCEPT', () => {
  const settings = parseEnvironment({ ...good, FELIX_DEFAULTENDPOINTTOHOSTACTION: 'Accept' });
  assert.ok(settings.ok && settings.value.endpointToHostAction === 'ACCEPT');
});

test('what is done about denied packets and connections', () => {
  const of = (env: Record<string, string>) => {
    const settings = parseEnvironment({ ...good, ...env });
    assert.ok(settings.ok);
    const { logDeniedFlows, cutDeniedFlows, guarded } = settings.value;
    return [logDeniedFlows, cutDeniedFlows, guarded];
  };
  assert.deepEqual(of({}), [false, true, true]);
  const others = { FELIX_CUTDENIEDFLOWS: 'false', FELIX_DEFAULTDENYGUARD: 'false' };
  assert.deepEqual(of({ FELIX_LOGDENIEDFLOWS: 'true', ...others }), [true, false, false]);
});

test('bad values name the variable, the value and the fix', () => {
  const cases: [Record<string, string>, string][] = [
    [{}, 'ETCD_ENDPOINTS: empty; give e.g. http://10.96.232.136:6666'],
    [{ ...good, FELIX_HEALTHPORT: '99999' }, "FELIX_HEALTHPORT: '99999' is no port (1 to 65535)"],
    [
      { ...good, FELIX_HEALTHENABLED: 'perhaps' },
      "FELIX_HEALTHENABLED: 'perhaps' must be true or false",
    ],
    [{ ...good, CNI_MTU: '12' }, "CNI_MTU: '12' must be 576 to 65535"],
    [{ ...good, FELIX_VXLANMTUV6: '1' }, "FELIX_VXLANMTUV6: '1' must be 576 to 65535"],
    [
      { ...good, FELIX_MTUIFACEPATTERN: '(' },
      "FELIX_MTUIFACEPATTERN: '(' is no regular expression",
    ],
    [
      { ...good, FELIX_MTUPROBEINTERVAL: '60' },
      "FELIX_MTUPROBEINTERVAL: '60' must look like 60s or 5m; 0 is off",
    ],
    [{ ...good, FELIX_MTUPROBEPORT: 'udp' }, "FELIX_MTUPROBEPORT: 'udp' is no port (1 to 65535)"],
    [
      { ...good, AUTODETECT_POLL_INTERVAL: '60' },
      "AUTODETECT_POLL_INTERVAL: '60' must look like 60s or 5m",
    ],
    [
      { ...good, FELIX_DEFAULTENDPOINTTOHOSTACTION: 'maybe' },
      "FELIX_DEFAULTENDPOINTTOHOSTACTION: 'MAYBE' must be one of DROP, RETURN, ACCEPT",
    ],
  ];
  for (const [env, message] of cases) {
    const settings = parseEnvironment(env);
    assert.ok(!settings.ok);
    assert.equal(settings.error, message);
  }
});

test('services: off; the first setting that cannot be used is named', () => {
  const of = (env: Record<string, string>) => parseEnvironment({ ...good, ...env });
  const off = of({ CALICO_SERVICE_PROXY_CLUSTER_CIDR: '10.0.0.0/8' });
  assert.ok(off.ok && off.value.serviceProxy === undefined);
  const on = of({
    CALICO_SERVICE_PROXY: 'true',
    CALICO_SERVICE_PROXY_CLUSTER_CIDR: '192.168.0.0/16, fd00::/48',
  });
  assert.ok(on.ok);
  assert.deepEqual(on.value.serviceProxy, {
    mode: 'modern',
    clusterCidrs: ['192.168.0.0/16', 'fd00::/48'],
    nodePortAddresses: [],
    localhostNodePorts: false,
    masqueradeAll: false,
    masqueradeBit: 14,
    externalCidrs: [],
    loadBalancerCidrs: [],
    healthAddress: undefined,
    takeOver: false,
  });
  const wrong = of({ CALICO_SERVICE_PROXY_MASQUERADE_BIT: '17' });
  assert.ok(!wrong.ok);
  assert.match(wrong.error, /MASQUERADE_BIT: '17' must be 0 to 15/);
});
