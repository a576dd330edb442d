// Routes of the main table (RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE; linux/rtnetlink.h).
import { type Cidr, cidrFamily, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bytesOfIp, type Family, familyOf, type Ip, ipFromBytes } from '../../net/ip.ts';
import type { Route, RouteHop } from '../kernel.ts';
import type { Encoded } from './link.ts';
import { attributesOf, type Message, type MessageWriter, NLM } from './message.ts';

export const RTM_ROUTE = { NEW: 24, DELETE: 25, GET: 26 } as const;
const RTA = {
  DST: 1,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  MULTIPATH: 9,
  TABLE: 15,
  VIA: 18,
} as const;
const TYPE = { unicast: 1, blackhole: 6 } as const;
const SCOPE = { global: 0, link: 253, nowhere: 255 } as const;
const MAIN_TABLE = 254;
const RTNH_F_ONLINK = 4;
/** Set on cached (cloned) routes: not part of the table. */
const RTM_F_CLONED = 0x200;
/** struct rtmsg. */
const BODY_BYTES = 12;
/** struct rtnexthop. */
const HOP_BYTES = 8;
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

function routeBody(w: MessageWriter, route: Route, scope: number): void {
  const family = cidrFamily(route.destination);
  const length = prefixLengthOf(route.destination);
  w.u8(AF[family]).u8(length).u8(0).u8(0).u8(MAIN_TABLE).u8(route.protocol);
  w.u8(scope).u8(TYPE[route.kind]);
  w.u32(route.onlink ? RTNH_F_ONLINK : 0);
  if (length > 0) w.attribute(RTA.DST, bytesOfIp(networkOf(route.destination)));
  if (route.gateway) writeGateway(w, route.gateway, family);
  if (route.hops) w.nested(RTA.MULTIPATH, () => writeHops(w, route.hops ?? [], family));
  if (route.linkIndex) w.attribute32(RTA.OIF, route.linkIndex);
  if (route.metric) w.attribute32(RTA.PRIORITY, route.metric);
}

// struct rtvia: a gateway of another family than the route's.
function writeGateway(w: MessageWriter, gateway: Ip, family: Family): void {
  const of = familyOf(gateway);
  const bytes = bytesOfIp(gateway);
  if (of === family) w.attribute(RTA.GATEWAY, bytes);
  else w.attribute(RTA.VIA, Uint8Array.of(AF[of], 0, ...bytes));
}

// struct rtnexthop each: length, flags, weight less one, link, attributes.
function writeHops(w: MessageWriter, hops: readonly RouteHop[], family: Family): void {
  for (const { gateway, linkIndex, onlink, weight = 1 } of hops)
    w.sized(() => {
      w.u8(onlink ? RTNH_F_ONLINK : 0)
        .u8(weight - 1)
        .u32(linkIndex);
      if (gateway) writeGateway(w, gateway, family);
    });
}

const ACKED = NLM.REQUEST | NLM.ACK;
const message =
  (type: number, flags: number, route: Route, scope: number = SCOPE[route.scope]): Encoded =>
  (w, sequence) =>
    void w.message(type, flags, sequence, () => routeBody(w, route, scope));

export const encodeAddRoute = (route: Route): Encoded =>
  message(RTM_ROUTE.NEW, ACKED | NLM.CREATE | NLM.EXCL, route);
export const encodeReplaceRoute = (route: Route): Encoded =>
  message(RTM_ROUTE.NEW, ACKED | NLM.CREATE | NLM.REPLACE, route);

// RT_SCOPE_NOWHERE matches any scope: a wrong one would be "no such route", and the route would stay.
// Hops are not named: IPv4 would want them in the same order, IPv6 would remove only those.
export const encodeDeleteRoute = ({ hops: _, ...route }: Route): Encoded =>
  message(RTM_ROUTE.DELETE, ACKED, route, SCOPE.nowhere);

export const encodeDumpRoutes =
  (family: Family): Encoded =>
  (w, sequence) =>
    void w.message(RTM_ROUTE.GET, NLM.REQUEST | NLM.DUMP, sequence, () =>
      w.u8(AF[family]).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u32(0),
    );

/** Undefined for other tables, cached routes and kinds that are not ours to know (local, broadcast). */
export function decodeRoute({ body }: Message): Route | undefined {
  const family = body.readUInt8(0) === AF[4] ? 4 : body.readUInt8(0) === AF[6] ? 6 : undefined;
  const kind =
    body.readUInt8(7) === TYPE.unicast
      ? 'unicast'
      : body.readUInt8(7) === TYPE.blackhole
        ? 'blackhole'
        : undefined;
  const flags = body.readUInt32LE(8);
  const attributes = attributesOf(body, BODY_BYTES);
  const table = attributes.get(RTA.TABLE)?.readUInt32LE(0) ?? body.readUInt8(4);
  if (!family || !kind || table !== MAIN_TABLE || flags & RTM_F_CLONED) return undefined;
  const gateway = gatewayOf(attributes);
  const multipath = attributes.get(RTA.MULTIPATH);
  const oif = attributes.get(RTA.OIF);
  // IPv6 routes have no scope: what has no gateway is on the link.
  const isLink =
    family === 4 ? body.readUInt8(6) === SCOPE.link : kind === 'unicast' && !gateway && oif;
  return {
    destination: destinationOf(attributes.get(RTA.DST), body.readUInt8(1), family),
    kind,
    ...(gateway ? { gateway } : {}),
    ...(multipath ? { hops: hopsOf(multipath) } : {}),
    // The kernel names the loopback as the device of an IPv6 blackhole.
    ...(oif && kind === 'unicast' ? { linkIndex: oif.readUInt32LE(0) } : {}),
    scope: isLink ? 'link' : 'global',
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    protocol: body.readUInt8(5),
    metric: attributes.get(RTA.PRIORITY)?.readUInt32LE(0) ?? 0,
  };
}

function gatewayOf(attributes: ReadonlyMap<number, Buffer>): Ip | undefined {
  const bytes = attributes.get(RTA.GATEWAY) ?? attributes.get(RTA.VIA)?.subarray(2);
  return bytes && ipFromBytes(bytes);
}

function hopsOf(bytes: Buffer): readonly RouteHop[] {
  const hops: RouteHop[] = [];
  for (let at = 0; at + HOP_BYTES <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < HOP_BYTES || at + length > bytes.length) break;
    const gateway = gatewayOf(attributesOf(bytes.subarray(at + HOP_BYTES, at + length)));
    const weight = bytes.readUInt8(at + 3) + 1;
    hops.push({
      ...(gateway ? { gateway } : {}),
      linkIndex: bytes.readUInt32LE(at + 4),
      onlink: (bytes.readUInt8(at + 2) & RTNH_F_ONLINK) !== 0,
      ...(weight > 1 ? { weight } : {}),
    });
    at += (length + 3) & ~3;
  }
  return hops;
}

// The kernel has cleared the bits beyond the length.
const destinationOf = (bytes: Buffer | undefined, length: number, family: Family): Cidr =>
  `${bytes ? ipFromBytes(bytes) : family === 4 ? '0.0.0.0' : '::'}/${length}` as Cidr;
