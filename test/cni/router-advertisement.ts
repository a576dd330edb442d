// router-advertisement.ts INTERFACE: sends one router advertisement with a default router and a prefix to
// all nodes on the interface, as a rogue router would (RFC 4861, section 4.2; RFC 4862). Run inside a
// network namespace of a test.
import koffi from 'koffi';

/** The prefix that it offers (RFC 3849: documentation). */
export const ROGUE_PREFIX = '2001:db8:bad:';

const AF_INET6 = 10;
const SOCK_RAW = 3;
const IPPROTO = { IPV6: 41, ICMPV6: 58 };
const IPV6_MULTICAST_HOPS = 18;
const HOP_LIMIT = 255; // RFC 4861, section 6.1.2: any other is discarded

/** The kernel fills in the checksum (RFC 3542, section 3.1). */
const ADVERTISEMENT = Buffer.from(
  [
    '86 00 0000 40 00 0708 00000000 00000000', // hop limit 64, router for 1800 s
    '03 04 40 c0 00015180 00003840 00000000', // prefix information: /64, on link, autonomous
    '2001 0db8 0bad 0000 0000 0000 0000 0000',
  ]
    .join('')
    .replaceAll(' ', ''),
  'hex',
);

function send(interfaceName: string): void {
  const lib = koffi.load('libc.so.6');
  const socket = lib.func('int socket(int, int, int)');
  const setsockopt = lib.func('int setsockopt(int, int, int, void *, uint32_t)');
  const sendto = lib.func('int64_t sendto(int, void *, size_t, int, void *, uint32_t)');
  const index = lib.func('uint32_t if_nametoindex(str)')(interfaceName) as number;
  if (index === 0) throw new Error(`no interface ${interfaceName}`);
  const fd = socket(AF_INET6, SOCK_RAW, IPPROTO.ICMPV6) as number;
  const hops = Buffer.alloc(4);
  hops.writeInt32LE(HOP_LIMIT);
  setsockopt(fd, IPPROTO.IPV6, IPV6_MULTICAST_HOPS, hops, hops.length);
  const allNodes = Buffer.alloc(28); // struct sockaddr_in6
  allNodes.writeUInt16LE(AF_INET6, 0);
  allNodes.set([0xff, 0x02], 8);
  allNodes.writeUInt8(1, 23);
  allNodes.writeUInt32LE(index, 24);
  const sent = sendto(fd, ADVERTISEMENT, ADVERTISEMENT.length, 0, allNodes, allNodes.length);
  if (Number(sent) !== ADVERTISEMENT.length) throw new Error(`not sent: errno ${koffi.errno()}`);
}

const [interfaceName] = process.argv.slice(2);
if (import.meta.main && interfaceName) send(interfaceName);
