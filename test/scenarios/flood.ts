// Datagrams without a pause: `send ADDRESS PORT...` sends to each port in turn, `receive ADDRESS PORT...` prints
// the port of each that arrives there, and when (milliseconds). Nobody answers, so that every one is a connection's first
// packet.
import { createSocket } from 'node:dgram';

const EVERY_MILLISECONDS = 1;
const [role, address, ...ports] = process.argv.slice(2);
const type = address!.includes(':') ? 'udp6' : 'udp4';

if (role === 'send') {
  const sockets = ports.map((port) => {
    const socket = createSocket(type);
    socket.on('error', () => {}); // refused, or no route yet
    return { socket, port: Number(port) };
  });
  setInterval(() => {
    for (const { socket, port } of sockets) socket.send('x', port, address, () => {});
  }, EVERY_MILLISECONDS);
} else {
  for (const port of ports.map(Number)) {
    const socket = createSocket(type);
    socket.on('message', () => process.stdout.write(`${port} ${performance.now()}\n`));
    socket.bind(port, address, () => process.stdout.write('ready\n'));
  }
}
