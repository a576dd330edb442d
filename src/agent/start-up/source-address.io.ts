// can-reach: which source address the kernel would use towards a destination. Connecting a UDP
// socket asks the routing table and sends nothing.
import { createSocket } from 'node:dgram';
import { messageOf } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { type Family, type Ip, parseIp } from '../../net/ip.ts';

const ANY_PORT = 80;

/** Errors: the name does not resolve, or there is no route. */
export function sourceAddressTowards(destination: string, family: Family): Promise<Result<Ip>> {
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  return new Promise<Result<Ip>>((resolve) => {
    socket.on('error', (cause) => resolve(fail(messageOf(cause))));
    socket.connect(ANY_PORT, destination, (cause?: Error | null) => {
      if (cause) return resolve(fail(messageOf(cause)));
      const source = parseIp(socket.address().address);
      return resolve(source ? ok(source) : fail('no source address'));
    });
  }).finally(() => socket.close());
}
