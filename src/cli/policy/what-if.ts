// Resources of a file as if they were stored: `--with policy.yaml`.
import { parseAllDocuments } from 'yaml';
import { fail, ok, type Result } from '../../base/result.ts';
import { type Manifest, type StoredText, storedOf } from '../../policy/read/manifest.ts';

/** Errors: the first document that cannot be used, with its place in the file. */
export function parseWhatIf(text: string): Result<readonly StoredText[]> {
  const stored: StoredText[] = [];
  for (const [i, document] of parseAllDocuments(text).entries()) {
    const where = `document ${i + 1}`;
    if (document.errors[0]) return fail(`${where}: ${document.errors[0].message}`);
    const manifest = document.toJS() as Manifest | null;
    if (manifest === null) continue;
    const one = storedOf(manifest);
    if (!one.ok) return fail(`${where}: ${one.error}`);
    stored.push(one.value);
  }
  return ok(stored);
}
