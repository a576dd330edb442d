// Sysctls of many namespaces, each at the cost of one. The kernel keeps an entry `net` of /proc/sys for
// every namespace that was ever looked into, all in one list that each later look walks: with hundreds
// of pods a write costs a third of a millisecond. Looks into pods go through a procfs of our own, in
// no file tree, that is thrown away now and then with all its entries (fsopen(2), fsmount(2)).
import { close } from 'node:fs';
import { libc } from './libc.io.ts';

/** So many looks share one procfs; a new one costs about as much as a dozen. */
const USES_MAX = 32;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
/** MOUNT_ATTR_NOSUID, NODEV, NOEXEC. */
const ATTRIBUTES = 2 | 4 | 8;

let mount: number | undefined;
let uses = 0;

/** The sysctl folder for one look into a pod's namespace; the common one where mounts are refused. */
export function podSysctlRoot(common: string): string {
  if (mount !== undefined && ++uses > USES_MAX) {
    close(mount, () => {}); // on a pool thread: it takes most of a millisecond
    mount = undefined;
  }
  if (mount === undefined) {
    mount = mountProc();
    uses = 1;
  }
  return mount === undefined ? common : `/proc/self/fd/${mount}/sys/net`;
}

function mountProc(): number | undefined {
  const context = libc.fsopen?.('proc', FSOPEN_CLOEXEC) ?? -1;
  if (context < 0) return undefined;
  try {
    if (libc.fsconfig?.(context, FSCONFIG_CMD_CREATE, null, null, 0) !== 0) return undefined;
    const made = libc.fsmount?.(context, FSMOUNT_CLOEXEC, ATTRIBUTES) ?? -1;
    return made < 0 ? undefined : made;
  } finally {
    libc.close(context);
  }
}
