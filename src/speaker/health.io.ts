// The speaker's health over HTTP on the node itself: /liveness, /readiness, and /status with the
// sessions as JSON (a SpeakerReport).
import { createServer, type Server } from 'node:http';
import type { Log } from '../base/log.io.ts';
import { readinessText } from './readiness.ts';
import type { Speaker } from './speaker.io.ts';

const LISTEN_RETRY_MS = 1000;

/** Serves from now on. A port that is taken is waited for: routing must not end with the probe. */
export function serveHealth(
  { host, port, log }: { readonly host: string; readonly port: number; readonly log: Log },
  speaker: Speaker,
): Server {
  const server = createServer((request, response) => {
    const answer = (status: number, body: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain' });
      response.end(`${body}\n`);
    };
    switch (request.url) {
      case '/liveness':
        answer(200, 'live');
        break;
      case '/readiness': {
        const { health } = speaker;
        answer(health.ready ? 200 : 503, readinessText(health));
        break;
      }
      case '/status':
        answer(200, JSON.stringify(speaker.report));
        break;
      default:
        answer(404, 'one of /liveness /readiness /status');
    }
  });
  server.on('error', (error) => {
    log.error({ host, port, cause: error.message }, 'health is not served');
    setTimeout(() => server.listen(port, host), LISTEN_RETRY_MS).unref();
  });
  return server.listen(port, host);
}
