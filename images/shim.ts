// The CNI shim's binary, built from images/calico-node/cni-shim.
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../test/cluster/tools.ts';

/** Path of the static binary; Go's own cache makes a second build a matter of milliseconds. */
export async function shimPath(): Promise<string> {
  const out = join(CACHE, 'bin/cni-shim');
  mkdirSync(join(CACHE, 'bin'), { recursive: true });
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' };
  const unfinished = `${out}.${process.pid}`;
  const args = ['build', '-trimpath', '-ldflags', '-s -w -buildid=', '-o', unfinished, '.'];
  execFileSync('go', args, { cwd: join(import.meta.dirname, 'calico-node/cni-shim'), env });
  renameSync(unfinished, out);
  return out;
}
