// Checksum offload of a link, by ethtool's ioctl (linux/ethtool.h, linux/sockios.h). The calling thread
// must be in the link's namespace.
import { AF, check, libc, pointerTo, SOCK } from '../libc.io.ts';

const SIOCETHTOOL = 0x8946;
const ETHTOOL = { GET_TX_CHECKSUM: 0x16, SET_TX_CHECKSUM: 0x17 } as const;
const NAME_BYTES = 16;
/** struct ifreq. */
const REQUEST_BYTES = 40;

/** Whether checksums of what the link sends are left to hardware. */
export const checksumOffload = (link: string): boolean =>
  call(link, ETHTOOL.GET_TX_CHECKSUM, 0) !== 0;

export const setChecksumOffload = (link: string, on: boolean): void =>
  void call(link, ETHTOOL.SET_TX_CHECKSUM, Number(on));

function call(link: string, command: number, data: number): number {
  const value = Buffer.alloc(8); // struct ethtool_value
  value.writeUInt32LE(command);
  value.writeUInt32LE(data, 4);
  const request = Buffer.alloc(REQUEST_BYTES);
  request.write(link.slice(0, NAME_BYTES - 1), 'latin1');
  request.writeBigUInt64LE(pointerTo(value), NAME_BYTES);
  const socket = check('socket', libc.socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, 0));
  try {
    check(`checksum offload of ${link}`, libc.ioctl(socket, SIOCETHTOOL, request));
    return value.readUInt32LE(4);
  } finally {
    libc.close(socket);
  }
}
