// Frames as somebody writes them who keeps to no rule: IP-in-IP with any addresses, sent from a namespace.
import { lastErrno, libc, SOCK } from '../../../src/kernel/libc.io.ts';
import { inNetnsAt } from '../../../src/kernel/namespaces.io.ts';
import { run } from '../../lab/command.ts';

const AF_PACKET = 17;
const ETHERTYPE_IPV4 = 0x0800;
const [IPIP, ICMP] = [4, 1];

interface Ipip {
  /** Namespace, and the interface that the frame leaves by. */
  readonly from: string;
  readonly link: string;
  /** Whom the frame goes to. */
  readonly mac: string;
  readonly outer: readonly [source: string, destination: string];
  readonly inner: readonly [source: string, destination: string];
}

/** Sends an echo request in IP-in-IP. */
export function sendIpip({ from, link, mac, outer, inner }: Ipip): void {
  const packet = ipv4(outer, IPIP, ipv4(inner, ICMP, echoRequest()));
  const own = run(['ip', 'netns', 'exec', from, 'cat', `/sys/class/net/${link}/address`]);
  const index = run(['ip', 'netns', 'exec', from, 'cat', `/sys/class/net/${link}/ifindex`]);
  const frame = Buffer.concat([macBytes(mac), macBytes(own.trim()), ethertype(), packet]);
  inNetnsAt(`/run/netns/${from}`, () => {
    const fd = libc.socket(AF_PACKET, SOCK.RAW, 0);
    const address = Buffer.alloc(20); // struct sockaddr_ll
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeInt32LE(Number(index), 4);
    try {
      if (libc.bind(fd, address, address.length) < 0) throw new Error(`bind: ${lastErrno()}`);
      if (libc.send(fd, frame, frame.length, 0) < 0) throw new Error(`send: ${lastErrno()}`);
    } finally {
      libc.close(fd);
    }
  });
}

/** The hardware address of a link of a namespace. */
export const macOf = (netns: string, link: string): string =>
  run(['ip', 'netns', 'exec', netns, 'cat', `/sys/class/net/${link}/address`]).trim();

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

function ethertype(): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(ETHERTYPE_IPV4);
  return bytes;
}

/** RFC 791. */
function ipv4([source, destination]: Ipip['outer'], protocol: number, body: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(header.length + body.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  Buffer.from(source.split('.').map(Number)).copy(header, 12);
  Buffer.from(destination.split('.').map(Number)).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, body]);
}

/** RFC 792. */
function echoRequest(): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(8, 0);
  bytes.writeUInt16BE(0x4242, 4);
  bytes.writeUInt16BE(checksum(bytes), 2);
  return bytes;
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
