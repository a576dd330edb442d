// A change of the kernel port as a netlink message.
import { assertNever } from '../../base/assert.ts';
import type { LinkChange } from '../kernel.ts';
import { encodeAddAddress, encodeDeleteAddress } from './address.ts';
import { type Encoded, encodeIpip, encodeSetLink } from './link.ts';
import {
  encodeDeleteForwarding,
  encodeDeleteNeighbour,
  encodeSetForwarding,
  encodeSetNeighbour,
  encodeSetProxyDelay,
} from './neighbour.ts';
import { encodeShapeLink } from './qdisc.ts';
import { encodeAddRoute, encodeDeleteRoute, encodeReplaceRoute } from './route.ts';
import { encodeVxlan } from './vxlan.ts';

export function encodeChange(change: LinkChange): Encoded {
  switch (change.kind) {
    case 'setLink':
      return encodeSetLink(change);
    case 'addAddress':
      return encodeAddAddress(change);
    case 'deleteAddress':
      return encodeDeleteAddress(change);
    case 'addRoute':
      return encodeAddRoute(change.route);
    case 'replaceRoute':
      return encodeReplaceRoute(change.route);
    case 'deleteRoute':
      return encodeDeleteRoute(change.route);
    case 'setNeighbour':
      return encodeSetNeighbour(change);
    case 'deleteNeighbour':
      return encodeDeleteNeighbour(change);
    case 'setForwarding':
      return encodeSetForwarding(change);
    case 'deleteForwarding':
      return encodeDeleteForwarding(change);
    case 'addVxlan':
      return encodeVxlan(change);
    case 'addIpip':
      return encodeIpip(change.name);
    case 'shapeLink':
      return encodeShapeLink(change);
    case 'setProxyDelay':
      return encodeSetProxyDelay(change);
    default:
      return assertNever(change);
  }
}

/** A change in a few words, for errors. */
export function describeChange(change: LinkChange): string {
  switch (change.kind) {
    case 'setLink':
      return `set link ${change.index}`;
    case 'addAddress':
    case 'deleteAddress':
      return `${change.kind === 'addAddress' ? 'add' : 'delete'} address ${change.ip}/${change.prefixLength}`;
    case 'addRoute':
    case 'replaceRoute':
    case 'deleteRoute':
      return `${change.kind.replace('Route', '')} route ${change.route.destination}`;
    case 'setNeighbour':
    case 'deleteNeighbour':
      return `${change.kind.replace('Neighbour', '')} neighbour ${change.ip}`;
    case 'setForwarding':
    case 'deleteForwarding':
      return `${change.kind.replace('Forwarding', '')} forwarding to ${change.mac}`;
    case 'addVxlan':
      return `add VXLAN device ${change.name}`;
    case 'addIpip':
      return `add IP-in-IP device ${change.name}`;
    case 'shapeLink':
      return `limit the rate of link ${change.index}`;
    case 'setProxyDelay':
      return `set proxy_delay of link ${change.linkIndex}`;
    default:
      return assertNever(change);
  }
}
