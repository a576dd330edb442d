// Connect, request, response, close, one connection after another (netperf's TCP_CRR): `serve`, or
// `drive ADDRESS SECONDS`, which prints connections per second. The client closes by a reset: no port
// waits for minutes to be used again.
import { connect, createServer, type Socket } from 'node:net';

const PORT = 7780;
const [role, address = '', seconds = '1'] = process.argv.slice(2);

function once(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: address, port: PORT, noDelay: true });
    socket.once('connect', () => socket.write('r'));
    socket.once('data', () => {
      socket.resetAndDestroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

if (role === 'serve') {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', () => socket.write('a'));
    socket.on('error', () => {});
  });
  server.listen(PORT, '0.0.0.0', () => console.log('serving'));
} else {
  const began = performance.now();
  const end = began + Number(seconds) * 1000;
  let count = 0;
  for (; performance.now() < end; count++) await once();
  console.log((count * 1000) / (performance.now() - began));
}
