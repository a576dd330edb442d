// Says who it is and who asks: `node who.ts serve NAME PORT`, TCP and UDP on all addresses; and asks by
// UDP from a port of one's choice: `node who.ts ask ADDRESS PORT SOURCE-PORT`.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [mode, first, second, third] = process.argv.slice(2);
const PATIENCE_MILLISECONDS = 1000;
const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');

function serve(name: string, port: number): void {
  const udp = createSocket('udp6');
  udp.on('message', (_text, { address, port: from }) =>
    udp.send(`${name} ${plain(address)}\n`, from, address),
  );
  const tcp = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${name} ${plain(socket.remoteAddress)}\n`);
  });
  udp.bind(port, '::', () => tcp.listen(port, '::', () => process.send?.('ready')));
}

function askOnce(address: string, port: number, from: number): void {
  const udp = createSocket('udp4');
  udp.on('message', (text) => {
    process.stdout.write(text);
    process.exit(0);
  });
  udp.bind(from, () => udp.send('x', port, address));
  setTimeout(() => process.exit(1), PATIENCE_MILLISECONDS);
}

if (mode === 'serve') serve(first!, Number(second));
if (mode === 'ask') askOnce(first!, Number(second), Number(third));
