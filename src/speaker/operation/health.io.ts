// The speaker's health over HTTP on the node itself: /liveness, /readiness, and /status with the
// sessions as JSON (a SpeakerReport), /routes with the routing table, a RouteReport in each line
// (?prefix= for one), /dump with it in the MRT format.
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { Log } from '../../base/log.io.ts';
import { parseCidr } from '../../net/cidr.ts';
import type { Speaker } from '../speaker.io.ts';
import { readinessText } from './readiness.ts';

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
    const url = new URL(request.url ?? '/', 'http://node');
    switch (url.pathname) {
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
      case '/routes':
        tellRoutes(url, speaker, response, answer);
        break;
      case '/dump':
        void tellEach(speaker.dump(), response, 'application/octet-stream');
        break;
      default:
        answer(404, 'one of /liveness /readiness /status /routes /dump');
    }
  });
  server.on('error', (error) => {
    log.error({ host, port, cause: error.message }, 'health is not served');
    setTimeout(() => server.listen(port, host), LISTEN_RETRY_MS).unref();
  });
  return server.listen(port, host);
}

/** Prefixes told between two turns of the sessions: about a millisecond. */
const ROUTES_AT_ONCE = 64;

function tellRoutes(
  url: URL,
  speaker: Speaker,
  response: ServerResponse,
  answer: (status: number, body: string) => void,
): void {
  const text = url.searchParams.get('prefix');
  const prefix = text === null ? undefined : parseCidr(text);
  if (text === null || prefix)
    void tellEach(linesOf(speaker.routes(prefix)), response, 'application/x-ndjson');
  else answer(400, `'${text}' is no prefix; give e.g. 10.1.2.0/26`);
}

function* linesOf(routes: Iterable<object>): Generator<string> {
  for (const route of routes) yield `${JSON.stringify(route)}\n`;
}

// Sessions come first: the table may be long, and who asks may read slowly.
async function tellEach(
  pieces: Iterable<string | Uint8Array>,
  response: ServerResponse,
  type: string,
): Promise<void> {
  response.writeHead(200, { 'content-type': type });
  let count = 0;
  for (const piece of pieces) {
    const room = response.write(piece);
    if (!room) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    else if (++count % ROUTES_AT_ONCE === 0) await setImmediate();
    if (response.destroyed) return;
  }
  response.end();
}
