// Datagrams without a pause: `send ADDRESS PORT...` sends to each port in turn, `receive PORT...` prints the
// port of each that arrives. Nobody answers, so that every one is a connection's first packet.
import { createSocket } from 'node:dgram';

const EVERY_MILLISECONDS = 1;
const [role, ...rest] = process.argv.slice(2);

if (role === 'send') {
  const [address, ...ports] = rest;
  const sockets = ports.map((port) => {
    const socket = createSocket('udp4');
    socket.on('error', () => {}); // refused, or no route yet
    return { socket, port: Number(port) };
  });
  setInterval(() => {
    for (const { socket, port } of sockets) socket.send('x', port, address, () => {});
  }, EVERY_MILLISECONDS);
} else {
  for (const port of rest.map(Number)) {
    const socket = createSocket('udp4');
    socket.on('message', () => process.stdout.write(`${port}\n`));
    socket.bind(port, () => process.stdout.write('ready\n'));
  }
}
