// The real packet filter commands, in a namespace of their own, for both backends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { netnsPath, withNetns } from '../../test/lab/netns.ts';
import { openIpSets } from './ipset/ipsets.io.ts';
import { openTables } from './iptables/tables.io.ts';
import { tablesCases } from './tables.cases.ts';

let number = 0;
const namespace = () => withNetns(`ckt-tables-${process.pid}-${++number}`, ['h'])[0]!;

for (const backend of ['nft', 'legacy'] as const) {
  tablesCases(backend, async () => {
    const { name, remove } = namespace();
    const place = { netnsPath: netnsPath(name) };
    return {
      tables: await openTables({ ...place, backend }),
      ipSets: await openIpSets(place),
      done: remove,
    };
  });
}

test('nft: 200 commits through one child', async () => {
  const { name, remove } = namespace();
  const tables = await openTables({ netnsPath: netnsPath(name) });
  try {
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]'] });
    const started = performance.now();
    for (let i = 0; i < 200; i++)
      await tables.commit({
        table: 'filter',
        lines: [':cali-A - [0:0]', `-A cali-A -s 10.0.0.${i}/32 -j DROP`],
      });
    console.log(`one commit: ${((performance.now() - started) / 200).toFixed(2)} ms`);
    assert.deepEqual((await tables.read('filter')).get('cali-A'), ['-s 10.0.0.199/32 -j DROP']);
  } finally {
    await tables.close();
    remove();
  }
});
