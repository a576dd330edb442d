// A member whose address the certificate of the members lacks has it made anew, and waits until the
// kubelet has brought the new one: that takes up to two minutes, where the node came after the last
// installation or upgrade.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Place } from './ensure.io.ts';

const LOOK_MILLISECONDS = 1000;

/** `file`: of the certificate, as PEM. */
export async function ensureOwnAddress(
  place: Place,
  address: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const isCovered = (): boolean =>
    new X509Certificate(readFileSync(file)).checkIP(address) !== undefined;
  if (isCovered()) return;
  // The library is large, and loaded for this alone.
  const { ensureAddress } = await import('./ensure.io.ts');
  await ensureAddress(place, address);
  place.say(`waits until ${file} has ${address}`);
  while (!isCovered()) await pause(LOOK_MILLISECONDS, undefined, { signal });
}
