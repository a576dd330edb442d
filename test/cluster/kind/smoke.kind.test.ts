// `make smoke CLUSTER=kind` as a user runs it, and that nothing of it stays on the machine.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { command } from '../command.ts';
import { PREFIX } from '../netns/layout.ts';
import { smoke } from '../smoke.ts';
import { findEngine, RUN } from './engine.ts';
import { kindCluster } from './kind-cluster.ts';

const cluster = kindCluster();
after(() => cluster.delete());

/** What a cluster by kind could leave. */
async function traces(): Promise<string> {
  const sysctls = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'];
  return JSON.stringify({
    links: await command(['ip', '-br', 'link']),
    routes: await command(['ip', 'route']),
    namespaces: (await command(['ip', 'netns', 'list']))
      .split('\n')
      .filter((name) => name.startsWith(PREFIX)),
    mounts: (await command(['findmnt', '-rno', 'TARGET'])).includes(RUN),
    sysctls: sysctls.map((name) => readFileSync(`/proc/sys/${name}`, 'utf8')),
    state: existsSync(RUN),
  });
}

test('kind: chart installed, tried, uninstalled; nothing stays', { timeout: 900_000 }, async () => {
  const [machines, before] = [await findEngine(), await traces()];
  await smoke(cluster);
  // An engine of the machine's own keeps kind's network and image, as it does for everybody.
  if (!machines) assert.equal(await traces(), before);
});
