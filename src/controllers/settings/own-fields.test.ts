// Fields of the configurations that the settings hold beside those of others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClusterSettings,
  clusterSettings,
  SETTINGS_KEYS,
  wantedSettings,
} from './settings.ts';

const CIDRS = 'calico-kit.io/additional-cidrs';
const FIELDS = 'calico-kit.io/settings-fields';

type Stored = { spec: Record<string, unknown>; annotations: Record<string, string> };

/** What is stored after the settings were, over what was there. */
function after(more: Partial<ClusterSettings>, before: Partial<Record<string, Stored>> = {}) {
  const settings = clusterSettings({});
  assert.ok(settings.ok);
  const { wanted } = wantedSettings({ ...settings.value, ...more }, (key) => before[key]);
  return Object.fromEntries(
    wanted.map(({ key, spec, metadata }) => [
      key,
      {
        spec: spec as Stored['spec'],
        annotations: { ...before[key]?.annotations, ...metadata.annotations },
      },
    ]),
  );
}

test('fields come from the settings and go with them; others’ stay', () => {
  const others = {
    spec: { serviceClusterIPs: [], vxlanVNI: 5, logPrefix: 'mine' },
    annotations: {},
  };
  const before = { [SETTINGS_KEYS.felix]: others, [SETTINGS_KEYS.bgp]: others };
  const set = after({ felix: { vxlanVNI: 9 }, bgp: { bindMode: 'NodeIP' } }, before);
  const felix = set[SETTINGS_KEYS.felix]!;
  assert.deepEqual([felix.spec['vxlanVNI'], felix.spec['logPrefix']], [9, 'mine']);
  assert.equal(felix.annotations[FIELDS], 'vxlanVNI');
  assert.equal(set[SETTINGS_KEYS.bgp]!.spec['bindMode'], 'NodeIP');
  const gone = after({}, set);
  assert.equal('vxlanVNI' in gone[SETTINGS_KEYS.felix]!.spec, false);
  assert.equal(gone[SETTINGS_KEYS.felix]!.spec['logPrefix'], 'mine');
  assert.equal('bindMode' in gone[SETTINGS_KEYS.bgp]!.spec, false);
  assert.deepEqual(after({}, gone), gone, 'nothing changes any more');
});

test('additional prefixes are an annotation, which somebody else may have written', () => {
  const set = after({ additionalCidrs: ['10.9.0.0/16', 'fd00::/64'] });
  const { annotations } = set[SETTINGS_KEYS.bgp]!;
  assert.equal(annotations[CIDRS], '10.9.0.0/16,fd00::/64');
  assert.equal(after({}, set)[SETTINGS_KEYS.bgp]!.annotations[CIDRS], '');
  const theirs = { [SETTINGS_KEYS.bgp]: { spec: {}, annotations: { [CIDRS]: '10.7.0.0/16' } } };
  assert.deepEqual(after({}, theirs)[SETTINGS_KEYS.bgp]!.annotations, { [CIDRS]: '10.7.0.0/16' });
});
