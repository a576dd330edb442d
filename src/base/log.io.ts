// The one door to the logging library: JSON lines on stderr, with secrets removed by key.
import pino from 'pino';

export type Log = pino.Logger;

const REDACTED = ['token', 'password', '*.token', '*.password', '*.k8s_auth_token', 'stdin'];

/** A program's log. `level` is one of trace debug info warn error fatal; others mean info. */
export function openLog(program: string, level = 'info'): Log {
  const name = level.toLowerCase().replace('warning', 'warn');
  const known = Object.hasOwn(pino.levels.values, name) ? name : 'info';
  return pino(
    {
      name: program,
      level: known,
      redact: REDACTED,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
