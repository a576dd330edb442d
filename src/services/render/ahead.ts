// What can be served of a service before its rules are written: connections to its own address, where
// nothing has to be remembered of clients.
import type { Forward } from '../../kernel/tables.ts';
import { choose } from './choose.ts';
import type { Endpoint, ServicePort } from './read.ts';
import type { RenderOptions } from './rules.ts';

/** With more of them it waits for its rules. */
const ENDPOINTS_MAX = 100;

/** The same endpoints with the same chances as the service's rules have; undefined: it has to wait. */
export function forwardOf(service: ServicePort, options: RenderOptions): Forward | undefined {
  const { protocol, clusterIp: ip, port, internalLocal, affinitySeconds } = service;
  const { cluster, local } = choose(service, options.place);
  const endpoints = (internalLocal ? local : cluster).map(placeOf);
  const isPlain = affinitySeconds === undefined;
  if (!isPlain || endpoints.length === 0 || endpoints.length > ENDPOINTS_MAX) return undefined;
  const masqueraded = options.masqueradeAll ? 'all' : options.clusterCidr;
  return { protocol, ip, port, endpoints, mark: Number(options.mark), masqueraded };
}

const placeOf = ({ ip, place }: Endpoint) => ({
  ip,
  port: Number(place.slice(place.lastIndexOf(':') + 1)),
});
