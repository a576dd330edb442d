// A lock that one process of the machine holds (flock(2)): it ends with the process, however that ends.
import { openSync } from 'node:fs';
import { OpError } from '../../base/op-error.ts';
import { errnoText, lastErrno, libc } from '../libc.io.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

export class FileLock {
  private readonly path: string;
  private readonly fd: number;

  /** Makes the file where it is missing. Throws what the file system refuses. */
  constructor(path: string) {
    this.path = path;
    this.fd = openSync(path, 'a', 0o600);
  }

  /** Whether this process holds it from now on, until its end. Throws OpError. */
  take(): boolean {
    if (libc.flock(this.fd, LOCK_EX | LOCK_NB) === 0) return true;
    const errno = lastErrno();
    if (errno === EWOULDBLOCK) return false;
    throw new OpError(`lock ${this.path}`, errnoText(errno), errno);
  }
}
