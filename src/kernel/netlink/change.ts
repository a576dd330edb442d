// A change of the kernel port as a netlink message.
import { assertNever } from '../../base/assert.ts';
import type { LinkChange } from '../kernel.ts';
import { encodeAddAddress, encodeDeleteAddress } from './address.ts';
import { type Encoded, encodeIpip, encodeSetLink } from './link.ts';
import { encodeSetNeighbour, encodeSetProxyDelay } from './neighbour.ts';
import { encodeAddRoute, encodeDeleteRoute, encodeReplaceRoute } from './route.ts';

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
    case 'addIpip':
      return encodeIpip(change.name);
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
      return `set neighbour ${change.ip}`;
    case 'addIpip':
      return `add IP-in-IP device ${change.name}`;
    case 'setProxyDelay':
      return `set proxy_delay of link ${change.linkIndex}`;
    default:
      return assertNever(change);
  }
}
