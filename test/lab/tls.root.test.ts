// Agent and speaker with an etcd that only speaks TLS and asks for a certificate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './command.ts';
import { openLab } from './lab.ts';

test('pods ping across hosts whose agents and speakers show certificates', async () => {
  const lab = await openLab(2, { tls: true });
  try {
    await Promise.all(lab.hosts.map((host) => host.startAgent()));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    const a = await lab.addPod(lab.host(0), 'a');
    const b = await lab.addPod(lab.host(1), 'b');
    await eventually('a pings b', () => lab.pings(a, b.ip), 20_000);
    assert.equal((await lab.deletePod(lab.host(0), a)).exit, 0);
  } finally {
    await lab.stop();
  }
});
