// Two agents on one node, as an update that overlaps makes them: the second keeps still, and takes over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './command.ts';
import { ended, openLab } from './lab.ts';

test('a second agent leaves the first its socket, rules and routes, and takes over when it is gone', {
  timeout: 120_000,
}, async () => {
  const lab = await openLab(1);
  try {
    const host = lab.host(0);
    await host.startAgent();
    const one = await lab.addPod(host, 'one');
    const rules = () => host.exec(['iptables-nft-save', '-t', 'filter']).replace(/^#.*$/gm, '');
    const before = [host.routes(), rules()];
    const first = host.agent!;
    await host.startAgent(); // the first one still answers for its health
    await eventually('the second waits', () => /another agent runs/.test(host.log('agent')));
    assert.deepEqual([host.routes(), rules()], before);
    const two = await lab.addPod(host, 'two');
    assert.ok(lab.pings(one, two.ip));
    await ended(first, 'SIGKILL');
    await eventually('the second serves', () => {
      const [, since = ''] = host.log('agent').split('the other agent has ended');
      return since.includes('the agent is ready');
    });
    assert.equal((await lab.deletePod(host, two)).exit, 0);
    const three = await lab.addPod(host, 'three');
    assert.ok(lab.pings(one, three.ip));
  } finally {
    await lab.stop();
  }
});
