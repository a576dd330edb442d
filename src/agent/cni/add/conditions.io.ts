// What the configuration makes an ADD wait for: the node's MTU file and readiness gates.
import { readFileSync, statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import type { NetworkConfig } from '../../../cni/config.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import type { CniContext } from '../context.ts';

const MTU_FILE = '/var/lib/calico/mtu';
/** As Calico's plugin polls. */
const GATE = { everyMilliseconds: 5_000, patienceMilliseconds: 30_000 };

/**
 * The MTU of a pod's interface: the configuration's, else that of the node's file, else the agent's. What
 * the chart wrote there when the node pod started is what the pools ask for now.
 */
export function mtuFor(
  { effectiveMtu, mtuNow }: Pick<CniContext, 'effectiveMtu' | 'mtuNow'>,
  given: Pick<NetworkConfig, 'mtu' | 'requireMtuFile'>,
  path = MTU_FILE,
): Result<number, CniError> {
  const config = { ...given, mtu: mtuNow?.(given.mtu) ?? given.mtu };
  if (config.mtu > 0 && !config.requireMtuFile) return ok(config.mtu);
  const written = Number(textOf(path) ?? 0);
  if (config.requireMtuFile && !(written > 0)) {
    const msg = `${path} is missing; check that calico-node has started on this node`;
    return fail(cniError('tryAgain', msg));
  }
  return ok(config.mtu || written || effectiveMtu());
}

// Every ADD asks, and most nodes have no such file: an exception each time would be dear.
function textOf(path: string): string | undefined {
  if (!statSync(path, { throwIfNoEntry: false })) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Resolves when every URL has answered with success. Errors: 11, the URL by name. Rejects when the
 * signal fires.
 */
export async function passGates(
  urls: readonly string[],
  signal: AbortSignal,
  { everyMilliseconds, patienceMilliseconds } = GATE,
): Promise<Result<void, CniError>> {
  const end = performance.now() + patienceMilliseconds;
  for (const url of urls) {
    for (;;) {
      const problem = await problemOf(
        url,
        AbortSignal.any([signal, AbortSignal.timeout(everyMilliseconds)]),
      );
      if (problem === undefined) break;
      if (performance.now() + everyMilliseconds > end)
        return fail(cniError('tryAgain', `readiness gate ${url}: ${problem}`));
      await setTimeout(everyMilliseconds, undefined, { signal });
    }
  }
  return ok(undefined);
}

async function problemOf(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal });
    await response.body?.cancel();
    return response.ok ? undefined : `it answers ${response.status}`;
  } catch (cause) {
    return messageOf(cause);
  }
}
