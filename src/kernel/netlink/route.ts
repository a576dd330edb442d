// Routes of the main table (RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE; linux/rtnetlink.h).
import { type Cidr, cidrFamily, cidrOf, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bytesOfIp, type Family, ip, ipFromBytes } from '../../net/ip.ts';
import type { Route } from '../kernel.ts';
import type { Encoded } from './link.ts';
import { attributesOf, type Message, type MessageWriter, NLM } from './message.ts';

export const RTM_ROUTE = { NEW: 24, DELETE: 25, GET: 26 } as const;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15 } as const;
const TYPE = { unicast: 1, blackhole: 6 } as const;
const SCOPE = { global: 0, link: 253, nowhere: 255 } as const;
const MAIN_TABLE = 254;
const RTNH_F_ONLINK = 4;
/** Set on cached (cloned) routes: not part of the table. */
const RTM_F_CLONED = 0x200;
/** struct rtmsg. */
const BODY_BYTES = 12;
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

function routeBody(w: MessageWriter, route: Route, scope: number): void {
  const family = cidrFamily(route.destination);
  const length = prefixLengthOf(route.destination);
  w.u8(AF[family]).u8(length).u8(0).u8(0).u8(MAIN_TABLE).u8(route.protocol);
  w.u8(scope).u8(TYPE[route.kind]);
  w.u32(route.onlink ? RTNH_F_ONLINK : 0);
  if (length > 0) w.attribute(RTA.DST, bytesOfIp(networkOf(route.destination)));
  if (route.gateway) w.attribute(RTA.GATEWAY, bytesOfIp(route.gateway));
  if (route.linkIndex) w.attribute32(RTA.OIF, route.linkIndex);
  if (route.metric) w.attribute32(RTA.PRIORITY, route.metric);
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
export const encodeDeleteRoute = (route: Route): Encoded =>
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
  const gateway = attributes.get(RTA.GATEWAY);
  const oif = attributes.get(RTA.OIF);
  // IPv6 routes have no scope: what has no gateway is on the link.
  const isLink =
    family === 4 ? body.readUInt8(6) === SCOPE.link : kind === 'unicast' && !gateway && oif;
  return {
    destination: destinationOf(attributes.get(RTA.DST), body.readUInt8(1), family),
    kind,
    ...(gateway ? { gateway: ipFromBytes(gateway) } : {}),
    // The kernel names the loopback as the device of an IPv6 blackhole.
    ...(oif && kind === 'unicast' ? { linkIndex: oif.readUInt32LE(0) } : {}),
    scope: isLink ? 'link' : 'global',
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    protocol: body.readUInt8(5),
    metric: attributes.get(RTA.PRIORITY)?.readUInt32LE(0) ?? 0,
  };
}

function destinationOf(bytes: Buffer | undefined, length: number, family: Family): Cidr {
  return cidrOf(bytes ? ipFromBytes(bytes) : ip(family === 4 ? '0.0.0.0' : '::'), length);
}
