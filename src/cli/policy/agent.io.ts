// This node's agent, asked over the HTTP port of its probes.
import { messageOf } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { GuardReport } from '../../policy/counters/guard-report.ts';
import { guardNote } from './guard.ts';

export const AGENT_URL = 'http://127.0.0.1:9099';
const PATIENCE_MILLISECONDS = 60_000;

/** The text at `path`; undefined when nobody listens. Errors: what went wrong, in words. */
export async function askAgent(url: string, path: string): Promise<Result<string | undefined>> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    const response = await fetch(new URL(path, url), { signal });
    const text = await response.text();
    return response.ok ? ok(text) : fail(text.trim());
  } catch (cause) {
    const inner = (cause as { cause?: { code?: string } }).cause;
    return inner?.code === 'ECONNREFUSED' ? ok(undefined) : fail(`${url}: ${messageOf(cause)}`);
  }
}

/** What the agent tells of its guard, for who asks about a connection; nothing where none answers. */
export async function guardNotes(url: string): Promise<readonly string[]> {
  const asked = await askAgent(url, '/policy/guard');
  if (!asked.ok || asked.value === undefined) return [];
  const note = guardNote(JSON.parse(asked.value) as readonly GuardReport[]);
  return note === undefined ? [] : [note];
}
