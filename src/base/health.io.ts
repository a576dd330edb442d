// A program's health over HTTP: /liveness and /readiness; the text names every missing part.
import { createServer, type Server } from 'node:http';
import { OpError } from './op-error.ts';

/** What the probes are told; the text names every missing part. */
export interface HealthState {
  readonly live: boolean;
  readonly ready: boolean;
  readonly problems: readonly string[];
}

export interface HealthServerOptions {
  readonly host: string;
  readonly port: number;
  /** Asked at each request. */
  readonly state: () => HealthState;
}

/** 200 or 503 with a line per problem. A port that is taken ends the process: no probe would pass. */
export function serveHealth({ host, port, state }: HealthServerOptions): Server {
  const server = createServer((request, response) => {
    const { live, ready, problems } = state();
    const answers: Record<string, readonly [boolean, string]> = {
      '/liveness': [live, 'live'],
      '/readiness': [ready, 'ready'],
    };
    const answer = answers[request.url ?? ''];
    const text = answer?.[0] ? answer[1] : problems.join('\n') || `not ${answer?.[1]}`;
    response.writeHead(answer ? (answer[0] ? 200 : 503) : 404, { 'content-type': 'text/plain' });
    response.end(answer ? `${text}\n` : 'one of /liveness /readiness\n');
  });
  server.on('error', (cause) => {
    throw new OpError(`health server on ${host}:${port}`, cause);
  });
  return server.listen(port, host);
}
