// A speaker that is told to end has ended before the kubelet would kill it: within the grace period that the
// chart gives its pod, of which the drain is a part.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { manifests } from '../../src/deploy/manifests.ts';
import { affinityKey, resourceKey } from '../../src/model/keys.ts';
import { settingsFrom } from '../../src/model/settings/settings.ts';
import { cidr } from '../../src/net/cidr.ts';
import { eventually } from '../lab/command.ts';
import { address, block, ManyHosts, resource } from './many-hosts.ts';

const NODES = [1, 2, 3] as const;
const DRAIN_SECONDS = 2;

describe('a speaker ends', { timeout: 90_000 }, () => {
  const hosts = new ManyHosts(NODES);
  before(async () => {
    await hosts.open();
    const pool = resource('IPPool', 'pool', { cidr: '192.168.0.0/16', ipipMode: 'Never' });
    hosts.put(resourceKey('ippools', 'pool'), pool);
    for (const n of NODES) hosts.putNode(n);
    for (const n of NODES) hosts.put(affinityKey(`n${n}`, cidr(block(n))), '{"state":"confirmed"}');
    for (const n of NODES)
      hosts.startSpeaker(n, {
        BGP_DRAIN_SECONDS: String(DRAIN_SECONDS),
        BGP_HOLD_TIME_SECONDS: '90',
      });
    const knows = (n: number, other: number) => hosts.routes(n).includes(`via ${address(other)} `);
    await eventually(
      'a mesh',
      () => knows(1, 3) && knows(3, 1) && knows(1, 2) && knows(2, 1),
      20_000,
    );
  });
  after(() => hosts.close());

  async function endsInTime(n: number): Promise<void> {
    const graceMs = graceSeconds() * 1000;
    const began = performance.now();
    const code = await hosts.end(`speaker${n}`, 'SIGTERM');
    const took = performance.now() - began;
    assert.equal(code, 0, 'it ended by itself');
    assert.ok(took >= DRAIN_SECONDS * 1000, `its peers had no time: ${took} ms`);
    assert.ok(took < graceMs, `${took} ms of ${graceMs}`);
  }

  test('within the grace period of its pod', () => endsInTime(3));

  test('also when neither the datastore nor a peer answers any more', async () => {
    for (const name of ['etcd', 'speaker2']) hosts.signal(name, 'SIGSTOP');
    await endsInTime(1);
  });
});

function graceSeconds(): number {
  const settings = settingsFrom({ conf: { node: { BGP_DRAIN_SECONDS: DRAIN_SECONDS } } });
  assert.ok(settings.ok);
  const found = manifests(settings.value).find(
    ({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'calico-node',
  ) as unknown as { spec: { template: { spec: { terminationGracePeriodSeconds: number } } } };
  return found.spec.template.spec.terminationGracePeriodSeconds;
}
