import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shaping } from './plan.ts';
import { qosIn } from './qos.ts';

const qos = (annotations: Record<string, string>) =>
  qosIn(
    Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [
        key.includes('/') ? key : `qos.projectcalico.org/${key}`,
        value,
      ]),
    ),
  );

test('quantities as Kubernetes writes them; bursts have Calico’s defaults', () => {
  assert.deepEqual(qos({ other: '1' }), { ok: true, value: undefined });
  assert.deepEqual(qos({ ingressBandwidth: '10M', egressPacketRate: '1e2' }), {
    ok: true,
    value: {
      ingressBandwidth: 10_000_000,
      ingressBurst: 4_294_967_296,
      egressPacketRate: 100,
      egressPacketBurst: 5,
    },
  });
  const all = {
    egressBandwidth: '1Mi',
    egressBurst: '1.5k',
    egressPeakrate: '2M',
    egressMinburst: '1500',
    ingressMaxConnections: '4294967295',
    dscp: 'EF',
  };
  assert.deepEqual(qos(all), {
    ok: true,
    value: {
      egressBandwidth: 1_048_576,
      egressBurst: 1500,
      egressPeakrate: 2_000_000,
      egressMinburst: 1500,
      ingressMaxConnections: 4_294_967_295,
      dscp: 'EF',
    },
  });
});

test('what cannot be kept is refused by the annotation’s name', () => {
  const refused = (annotations: Record<string, string>): string => {
    const outcome = qos(annotations);
    return outcome.ok ? assert.fail(JSON.stringify(outcome.value)) : outcome.error;
  };
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ ingressBandwidth: '999' }, /ingressBandwidth: '999' is no quantity from 1000 to/],
    [{ ingressBandwidth: '1 M' }, /no quantity/],
    [{ ingressBandwidth: '1Q' }, /no quantity/],
    [{ ingressBandwidth: '-1M' }, /no quantity/],
    [{ ingressBandwidth: '' }, /no quantity/],
    [{ egressPacketRate: '10001' }, /egressPacketRate: .* from 1 to 10000/],
    [{ egressMaxConnections: '0' }, /egressMaxConnections/],
    [{ ingressBurst: '1M' }, /ingressBurst: it needs qos.projectcalico.org\/ingressBandwidth/],
    [{ ingressBandwidth: '2M', ingressPeakrate: '2M' }, /ingressPeakrate: it must be more/],
    [{ egressBandwidth: '2M', egressMinburst: '2k' }, /egressMinburst: it needs .*egressPeakrate/],
    [{ ingressPacketBurst: '3' }, /ingressPacketBurst: it needs/],
    [{ ingressBandwidth: '2M', 'kubernetes.io/ingress-bandwidth': '1M' }, /cannot stand beside/],
    [{ dscp: '64' }, /dscp: '64' is neither/],
    [{ dscp: 'AF50' }, /dscp/],
  ];
  for (const [annotations, why] of cases) assert.match(refused(annotations), why);
});

test('a link’s token bucket: bytes, never less than a packet at once', () => {
  const limits = { ingressBandwidth: 8_000_000, ingressBurst: 8_000, ingressPeakrate: 16_000_000 };
  assert.deepEqual(shaping(7, 'ingress', limits, 1500), [
    {
      kind: 'shapeLink',
      index: 7,
      bytesPerSecond: 1_000_000,
      burstBytes: 1500,
      peak: { bytesPerSecond: 2_000_000, burstBytes: 1500 },
    },
  ]);
  assert.deepEqual(shaping(7, 'egress', limits, 1500), []);
});
