// Says who it is and who asks: `node who.ts serve NAME PORT`, TCP and UDP on all addresses; and asks by
// UDP from a port of one's choice: `node who.ts ask ADDRESS PORT SOURCE-PORT`; or asks by TCP without a
// pause, until it is told to stop and has asked often enough: `node who.ts load ADDRESS PORT TIMES`.
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

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

/** Undefined: an answer came. */
const failure = (address: string, port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    let heard = '';
    const socket = connect({ host: address, port });
    socket.setTimeout(PATIENCE_MILLISECONDS, () => socket.destroy(new Error('no answer')));
    socket.on('data', (data) => {
      heard += String(data);
    });
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve(heard === '' ? 'closed without a word' : undefined));
  });

const AT_ONCE = 4;

async function load(address: string, port: number, times: number): Promise<void> {
  let stopped = false;
  process.on('message', () => {
    stopped = true;
  });
  let asked = 0;
  const failures: string[] = [];
  const one = async (): Promise<void> => {
    while (!stopped || asked < times) {
      asked++;
      const problem = await failure(address, port);
      if (problem) failures.push(problem);
    }
  };
  process.send?.('ready');
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  process.send?.({ asked, failures }, () => process.exit(0));
}

if (mode === 'load') await load(first!, Number(second), Number(third));
if (mode === 'serve') serve(first!, Number(second));
if (mode === 'ask') askOnce(first!, Number(second), Number(third));
