// Flows of UDP that go where a service has no endpoint any more, or that began before it had one. TCP
// begins anew by itself; a sender of UDP that never pauses keeps its flow alive for ever.

import type { Connection } from '../../kernel/conntrack/flow.ts';
import { calledBy } from '../../kernel/conntrack/flow.ts';

/** Where UDP services are called, each with its serving endpoints as `address:port`. */
export interface UdpServices {
  /** By `address:port`. */
  readonly addresses: ReadonlyMap<string, ReadonlySet<string>>;
  /** By port, on any address. */
  readonly nodePorts: ReadonlyMap<number, ReadonlySet<string>>;
}

export const NO_UDP: UdpServices = { addresses: new Map(), nodePorts: new Map() };

const UDP = 17;

/** `[address]:port` for IPv6. */
export const placeOf = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;

/** Those whose endpoints are others than before. A place that is no service's any more has none. */
export function changedServices(before: UdpServices, now: UdpServices): UdpServices {
  const changed = <K>(
    was: ReadonlyMap<K, ReadonlySet<string>>,
    is: ReadonlyMap<K, ReadonlySet<string>>,
  ): ReadonlyMap<K, ReadonlySet<string>> =>
    new Map(
      [...new Set([...was.keys(), ...is.keys()])]
        .map((key) => [key, is.get(key) ?? NOBODY] as const)
        .filter(([key, ends]) => !sameSet(was.get(key), ends)),
    );
  return {
    addresses: changed(before.addresses, now.addresses),
    nodePorts: changed(before.nodePorts, now.nodePorts),
  };
}

const NOBODY: ReadonlySet<string> = new Set();

const sameSet = (a: ReadonlySet<string> | undefined, b: ReadonlySet<string>): boolean =>
  a === b || (a !== undefined && a.size === b.size && [...a].every((one) => b.has(one)));

/** The flows that do not go to an endpoint of the service that they called. */
export const staleFlows = (
  connections: readonly Connection[],
  { addresses, nodePorts }: UdpServices,
): readonly Connection[] =>
  connections.filter(({ flow, protocol, destination, destinationPort }) => {
    const called = protocol === UDP ? calledBy(flow) : undefined;
    if (!called) return false;
    const ends = addresses.get(placeOf(called.ip, called.port)) ?? nodePorts.get(called.port);
    return ends !== undefined && !ends.has(placeOf(destination, destinationPort));
  });
