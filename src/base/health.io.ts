// A program's health over HTTP: /liveness and /readiness; the text names every missing part.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { messageOf, OpError } from './op-error.ts';

/** What the probes are told; the text names every missing part. */
export interface HealthState {
  readonly live: boolean;
  readonly ready: boolean;
  readonly problems: readonly string[];
  /** Told, though the program is ready. */
  readonly warnings?: readonly string[];
}

export interface HealthServerOptions {
  readonly host: string;
  readonly port: number;
  /** Asked at each request. */
  readonly state: () => HealthState;
  /** Further answers by path; undefined: not yet. What is thrown is answered with 500. */
  readonly pages?: Readonly<Record<string, () => Promise<string | undefined>>>;
}

/** 200 or 503 with a line per problem. A port that is taken ends the process: no probe would pass. */
export function serveHealth({ host, port, state, pages = {} }: HealthServerOptions): Server {
  const server = createServer((request, response) => {
    const page = Object.hasOwn(pages, request.url ?? '') ? pages[request.url ?? ''] : undefined;
    if (page) {
      void tell(page, response);
      return;
    }
    const { live, ready, problems, warnings = [] } = state();
    const answers: Record<string, readonly [boolean, string]> = {
      '/liveness': [live, 'live'],
      '/readiness': [ready, ['ready', ...warnings].join('\n')],
    };
    const answer = answers[request.url ?? ''];
    const text = answer?.[0] ? answer[1] : problems.join('\n') || `not ${answer?.[1]}`;
    response.writeHead(answer ? (answer[0] ? 200 : 503) : 404, { 'content-type': 'text/plain' });
    const paths = ['/liveness', '/readiness', ...Object.keys(pages)];
    response.end(answer ? `${text}\n` : `one of ${paths.join(' ')}\n`);
  });
  server.on('error', (cause) => {
    throw new OpError(`health server on ${host}:${port}`, cause);
  });
  return server.listen(port, host);
}

async function tell(
  page: () => Promise<string | undefined>,
  response: ServerResponse,
): Promise<void> {
  try {
    const text = await page();
    response.writeHead(text === undefined ? 503 : 200, { 'content-type': 'application/json' });
    response.end(text ?? 'not ready');
  } catch (cause) {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`${messageOf(cause)}\n`);
  }
}
