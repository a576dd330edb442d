// In a pod's namespace: listens on the ports of the probes, sends probes, tells what arrived. Who sent
// a probe and which one it is, its source port says.
import { createSocket, type Socket } from 'node:dgram';
import { connect, createServer } from 'node:net';

export interface SentProbe {
  readonly address: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
  readonly sourcePort: number;
}

/** `address protocol port sourcePort`, the address being the sender's. */
export type Arrival = string;

export type ProberOrder =
  | { readonly kind: 'send'; readonly probes: readonly SentProbe[] }
  | { readonly kind: 'collect' };
export type ProberAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'sent' }
  | { readonly kind: 'arrived'; readonly arrivals: readonly Arrival[] };

const ports = process.argv.slice(2).map(Number);
let arrivals: Arrival[] = [];
const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');
const say = (answer: ProberAnswer): void => void process.send!(answer);

const listening = ports.flatMap((port) => {
  const server = createServer((socket) => {
    arrivals.push(`${plain(socket.remoteAddress)} TCP ${port} ${socket.remotePort}`);
    socket.on('error', () => {});
    socket.resetAndDestroy();
  });
  const udp = createSocket('udp6');
  udp.on('message', (_, { address, port: sourcePort }) => {
    arrivals.push(`${plain(address)} UDP ${port} ${sourcePort}`);
  });
  return [
    new Promise<void>((resolve) => server.listen(port, '::', resolve)),
    new Promise<void>((resolve) => udp.bind(port, '::', resolve)),
  ];
});
await Promise.all(listening);
say({ kind: 'ready' });

let open: { destroy(): unknown }[] = [];

function sendUdp({ address, port, sourcePort }: SentProbe): Promise<void> {
  const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  open.push({ destroy: () => socket.close() });
  return new Promise((resolve) => {
    socket.on('error', () => resolve());
    socket.bind(sourcePort, () => socket.send('probe', port, address, () => resolve()));
  });
}

function sendTcp({ address, port, sourcePort }: SentProbe): void {
  const socket = connect({ host: address, port, localPort: sourcePort });
  socket.on('error', () => {});
  open.push(socket);
}

process.on('message', async (order: ProberOrder) => {
  if (order.kind === 'collect') {
    say({ kind: 'arrived', arrivals });
    arrivals = [];
    for (const socket of open) socket.destroy();
    open = [];
    return;
  }
  await Promise.all(
    order.probes.map((probe) => (probe.protocol === 'UDP' ? sendUdp(probe) : sendTcp(probe))),
  );
  say({ kind: 'sent' });
});
process.on('disconnect', () => process.exit(0));
