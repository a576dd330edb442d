// Connection tracking: forget the flows of an address that left this node, so that the next owner
// does not inherit them. Off the hot path: DEL has answered before.
import { execFile } from 'node:child_process';

/** Deletes entries from and to the address; none is fine. */
export async function deleteFlows(ip: string): Promise<void> {
  await Promise.all(
    ['--orig-src', '--orig-dst', '--reply-src', '--reply-dst'].map((side) => remove(side, ip)),
  );
}

const remove = (side: string, ip: string): Promise<void> =>
  new Promise((resolve, reject) => {
    execFile('conntrack', ['-D', side, ip], (error, _stdout, stderr) => {
      // Exit 1 with "0 flow entries have been deleted" is what an idle address gives.
      if (!error || /flow entries have been deleted/.test(stderr)) resolve();
      else reject(error);
    });
  });
