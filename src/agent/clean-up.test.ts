import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLog } from '../base/log.io.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { memoryIpSets, memoryTables } from '../kernel/memory-tables.ts';
import { cleanUpNode } from './clean-up.io.ts';

/** What an uninstall leaves of a node with rules of policy, of services and of others. */
async function uninstall(releasesServices: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-clean-'));
  const [tables, ipv6Tables] = [memoryTables(), memoryTables()];
  for (const one of [tables, ipv6Tables]) {
    const chains = ['cali-PREROUTING', 'KUBE-SERVICES', 'KUBE-SVC-A', 'KUBE-MARK-MASQ', 'USER'];
    const lines = [
      ...chains.map((name) => `:${name} - [0:0]`),
      '-A PREROUTING -m comment --comment "cali:0123456789abcdef" -j cali-PREROUTING',
      '-A PREROUTING -j KUBE-SERVICES',
      '-A PREROUTING -j USER',
      '-A KUBE-SERVICES -d 10.96.0.1 -j KUBE-SVC-A',
    ];
    await one.commit({ table: 'nat', lines });
  }
  writeFileSync(join(folder, 'state'), '');
  let removed = false;
  try {
    await cleanUpNode({
      kernel: memoryKernel(),
      tables,
      ipv6Tables,
      ipSets: memoryIpSets(),
      paths: [folder],
      removeCni: () => {
        removed = true;
      },
      releasesServices,
      log: openLog('test', 'silent'),
    });
    const left = await Promise.all(
      [tables, ipv6Tables].map(async (one) => {
        const content = await one.read('nat');
        return [...content].flatMap(([name, rules]) =>
          /^(KUBE|cali)/.test(name) ? [name] : rules.map((rule) => `${name} ${rule}`),
        );
      }),
    );
    return { left, files: readdirSync(folder), removed };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('an uninstall takes policy and services out of both families, and leaves what others use', async () => {
  const { left, files, removed } = await uninstall(true);
  for (const family of left)
    assert.deepEqual(family.sort(), ['KUBE-MARK-MASQ', 'PREROUTING -j USER']);
  assert.deepEqual([files, removed], [[], true]);
});

test('where somebody else serves services, their rules stay', async () => {
  const { left } = await uninstall(false);
  for (const family of left)
    assert.deepEqual(family.sort(), [
      'KUBE-MARK-MASQ',
      'KUBE-SERVICES',
      'KUBE-SVC-A',
      'PREROUTING -j KUBE-SERVICES',
      'PREROUTING -j USER',
    ]);
});
