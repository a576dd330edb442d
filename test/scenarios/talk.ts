// A long TCP connection between two namespaces: both ends say a line every 20 ms, the server tells its
// parent of each it hears. `node talk.ts serve PORT` or `node talk.ts call ADDRESS PORT SOURCE-PORT`.
import { connect, createServer } from 'node:net';

const [mode, ...args] = process.argv.slice(2);

if (mode === 'serve')
  createServer((socket) => {
    socket.on('data', () => process.send?.({ from: socket.remotePort }));
    socket.on('error', () => undefined);
    setInterval(() => socket.write('y\n'), 20);
  }).listen(Number(args[0]), '::', () => process.send?.('ready'));

if (mode === 'call') {
  const [host, port, localPort] = [args[0]!, Number(args[1]), Number(args[2])];
  const socket = connect({ host, port, localPort }, () => process.send?.('ready'));
  socket.on('error', () => undefined);
  setInterval(() => socket.write('x\n'), 20);
}
