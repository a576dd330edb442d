import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../base/json.ts';
import { settingsFrom } from '../../model/settings/settings.ts';
import { type Manifest, manifests } from '../manifests.ts';
import { goodValues } from '../values.cases.ts';
import { effectsOf } from './effects.ts';
import { liveDifference, liveValues } from './live.ts';

function settingsOf(user: Json) {
  const result = settingsFrom(user);
  assert.ok(result.ok, result.ok ? '' : result.error.join('\n'));
  return result.value;
}

/** As the API server would keep it: what is empty is gone, and what it fills in is there. */
const kept = (object: Manifest): Manifest => {
  const isZero = (value: unknown): boolean =>
    value === '' ||
    value === false ||
    (value !== null && typeof value === 'object' && Object.keys(value).length === 0);
  const lean = JSON.parse(
    JSON.stringify(object, function (this: unknown, _key, value) {
      return !Array.isArray(this) && isZero(value) ? undefined : value;
    }),
  ) as Manifest;
  const metadata = { ...lean.metadata, uid: object.metadata.name, resourceVersion: '7' };
  return { ...lean, metadata, status: { ready: 3 } };
};

test('a cluster that has what is wanted would not change, whatever the values', () => {
  fc.assert(
    fc.property(goodValues, (user) => {
      const wanted = manifests(settingsOf(JSON.parse(JSON.stringify(user)) as Json));
      assert.deepEqual(liveDifference(wanted.map(kept), wanted), []);
    }),
    { numRuns: 20 },
  );
});

test('a name that every object of the language has is a name', () => {
  const wanted = manifests(
    settingsOf({ pod: { calico_node: { resources: { toString: {} } } } } as unknown as Json),
  );
  assert.deepEqual(liveDifference(wanted.map(kept), wanted), []);
});

test('what somebody changed by hand is told, and what the API server fills in is not', () => {
  const wanted = manifests(settingsOf({}));
  const live = wanted.map(kept).map((object) => {
    if (object.kind !== 'DaemonSet' || object.metadata.name !== 'calico-node') return object;
    const changed = structuredClone(object) as unknown as {
      spec: {
        revisionHistoryLimit: number;
        template: { spec: { containers: { image: string; env: object[] }[] } };
      };
    };
    changed.spec.revisionHistoryLimit = 10;
    changed.spec.template.spec.containers[0]!.image = 'mine';
    changed.spec.template.spec.containers[0]!.env.push({ name: 'DEBUG', value: '1' });
    return changed as unknown as Manifest;
  });
  const [change, ...others] = liveDifference(live, wanted);
  assert.deepEqual(others, []);
  assert.equal(change?.object, 'DaemonSet calico-node');
  assert.deepEqual(
    change?.fields.map(({ path, after }) => [path, after]),
    [
      ['spec.template.spec.containers[calico-node].env[DEBUG]', undefined],
      [
        'spec.template.spec.containers[calico-node].image',
        'docker.io/calico-kit/calico-node:0.1.0',
      ],
    ],
  );
});

test('objects that are missing, and of ours that are not wanted', () => {
  const wanted = manifests(settingsOf({}));
  const [first, ...rest] = wanted.map(kept);
  const extra = { ...first!, kind: 'Service', metadata: { name: 'calico-typha' } } as Manifest;
  assert.deepEqual(
    liveDifference([...rest, extra], wanted).map(({ object, change }) => `${change} ${object}`),
    [`added ${first!.kind} ${first!.metadata.name}`, 'removed Service calico-typha'],
  );
});

test('the settings of the network are read back from the objects', () => {
  const user: Json = {
    networking: {
      podSubnet: '10.1.0.0/16',
      mtu: 9000,
      pools: [{ name: 'edge', cidr: '10.20.0.0/16' }],
      settings: { mesh: 'off', ippool: { ipip: { mode: 'Never' }, nat_outgoing: false } },
      bgp: { asnumber: 65000, bfd: 'on' },
    },
  };
  const live = manifests(settingsOf(user)).map(kept);
  const before = liveValues(live, settingsOf({}));
  assert.deepEqual(liveDifference(live, manifests(before)), []);
  assert.equal(before.networking.mtu, 9000);
  const wanted = settingsOf({});
  const effects = effectsOf(before, wanted, liveDifference(live, manifests(wanted)));
  const words = effects.map(({ kind, words }) => `${kind} ${words}`);
  for (const expected of [
    /^refused networking\.podSubnet/,
    /^disrupts networking\.bgp\.asnumber/,
    /^live pool edge: disabled and kept/,
    /^live networking\.mtu: pods get an MTU of 1480 instead of 9000/,
  ])
    assert.ok(
      words.some((text) => expected.test(text)),
      words.join('\n'),
    );
});
