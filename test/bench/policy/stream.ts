// One end of a stream of datagrams through the node: `send ADDRESS` sends one a millisecond with the time
// of its sending; `receive` prints the sending and the arrival time of each. The receiver never
// answers, so that every datagram begins a flow anew and meets the policy. Times are the machine's
// monotonic clock in milliseconds, the same in every process.
import { createSocket } from 'node:dgram';

const PORT = 7777;
const EVERY_MILLISECONDS = 1;
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

const [role, address] = process.argv.slice(2);
const socket = createSocket('udp4');
if (role === 'send') {
  const payload = Buffer.alloc(8);
  setInterval(() => {
    payload.writeDoubleLE(now());
    socket.send(payload, PORT, address, () => {}); // refused where policy says so
  }, EVERY_MILLISECONDS);
} else {
  socket.on('message', (payload) => {
    process.stdout.write(`${payload.readDoubleLE()} ${now()}\n`);
  });
  socket.bind(PORT);
}
