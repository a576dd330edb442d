// This node's speaker, asked over the HTTP port of its probes. No root, no socket file: the address is
// the same on the host and in every container of the node's network.
import { messageOf } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';

export const SPEAKER_URL = 'http://127.0.0.1:9098';
const PATIENCE_MILLISECONDS = 60_000;

/** The octets at `path`, piece by piece; undefined when nobody listens. */
export async function readSpeaker(
  url: string,
  path: string,
): Promise<Result<AsyncIterable<Uint8Array> | undefined>> {
  try {
    const response = await fetch(new URL(path, url));
    if (!response.ok) return fail((await response.text()).trim());
    return ok(response.body ?? undefined);
  } catch (cause) {
    return refused(url, cause);
  }
}

/** The text at `path`; undefined when nobody listens. Errors: what went wrong, in words. */
export async function askSpeaker(url: string, path: string): Promise<Result<string | undefined>> {
  try {
    const response = await fetch(new URL(path, url), {
      signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
    });
    const text = await response.text();
    return response.ok ? ok(text) : fail(text.trim());
  } catch (cause) {
    return refused(url, cause);
  }
}

function refused(url: string, cause: unknown): Result<undefined> {
  const inner = (cause as { cause?: { code?: string } }).cause;
  return inner?.code === 'ECONNREFUSED' ? ok(undefined) : fail(`${url}: ${messageOf(cause)}`);
}
