// The committed chart is the generated one.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { chartFiles } from '../../src/deploy/chart/package.ts';

const CHART = join(import.meta.dirname, '../../charts/calico');

test('charts/calico is what the constructs generate (make charts)', () => {
  const files = chartFiles();
  const committed = readdirSync(CHART, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(CHART.length + 1));
  assert.deepEqual(committed.sort(), [...files.keys()].sort());
  for (const [path, text] of files) {
    assert.equal(readFileSync(join(CHART, path), 'utf8'), text, path);
  }
});
