// `make bench BENCH=name`: runs test/bench/<name>/bench.ts. Figures are ratios against a peer in the
// same run; they are printed, never asserted in CI.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const name = process.argv[2] ?? '';
const file = join(import.meta.dirname, name, 'bench.ts');
if (!/^[a-z0-9-]+$/.test(name) || !existsSync(file)) {
  const known = readdirSync(import.meta.dirname, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name);
  console.error(`no bench '${name}'; make bench BENCH=<name> with one of: ${known.join(', ')}`);
  process.exit(2);
}
await import(file);
