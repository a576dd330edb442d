// The speaker's health over HTTP on the node itself: /liveness, /readiness, and /status with the
// sessions as JSON.
import { createServer, type Server } from 'node:http';
import type { Speaker } from './speaker.io.ts';

export function serveHealth(host: string, port: number, speaker: Speaker): Server {
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
        const { ready, problems } = speaker.health;
        answer(ready ? 200 : 503, problems.length > 0 ? problems.join('\n') : 'ready');
        break;
      }
      case '/status':
        answer(200, JSON.stringify({ peers: speaker.peers, routes: speaker.routeProblems }));
        break;
      default:
        answer(404, 'one of /liveness /readiness /status');
    }
  });
  return server.listen(port, host);
}
