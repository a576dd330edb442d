// CNI CHECK: is what ADD made still there, by the runtime's memory of it: record, allocation, host
// interface and routes, rules, and the container's own side; then what another IPAM plugin says.
import { OpError } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { machineOf } from '../../cni/annotations.ts';
import { expectedAddresses, missingInside } from '../../cni/check.ts';
import { type EndpointIdentity, endpointIdentity } from '../../cni/endpoint.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import { destinationsOf } from '../../cni/plan.ts';
import { type CniRequest, handleIdOf, machineHandleOf, stableHandleOf } from '../../cni/request.ts';
import { hostCidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { endpointChainName } from '../../policy/render/names.ts';
import type { CniContext } from './context.ts';
import { callDelegate, isDelegated } from './delegate.io.ts';

/** Answers an empty stdout, or the first thing that is missing. */
export async function checkPod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const identity = endpointIdentity(context.node, request);
  const missing =
    missingOutside(context, request, identity) ?? (await missingRules(context, identity));
  if (missing) return fail(cniError('internal', `CHECK: ${missing}`));
  return isDelegated(request) ? callDelegate(context, request, 'CHECK') : ok('');
}

function missingOutside(
  context: CniContext,
  request: CniRequest,
  identity: EndpointIdentity,
): string | undefined {
  const { previous } = request.config;
  const expected = previous && expectedAddresses(previous, request.ifname);
  if (!expected || typeof expected === 'string') return expected ?? 'prevResult is missing';
  const { ips, mac } = expected;
  const destinations = isDelegated(request)
    ? destinationsOf(previous.routes, request.config.includeDefaultRoutes).filter((destination) =>
        ips.some((ip) => ip.includes(':') === destination.includes(':')),
      )
    : undefined;
  return (
    missingRecord(context, request, identity, ips) ??
    missingOnHost(context, identity, ips) ??
    missingInContainer(context, request, {
      ifname: request.ifname,
      ips,
      mac,
      ...(destinations ? { destinations } : {}),
    })
  );
}

function missingRecord(
  context: CniContext,
  request: CniRequest,
  { key, name }: EndpointIdentity,
  ips: readonly Ip[],
): string | undefined {
  const { spec, metadata } = context.view.endpoint(key)?.endpoint ?? {};
  if (!spec) return `WorkloadEndpoint ${name} is missing`;
  if (spec.containerID !== request.containerId)
    return `WorkloadEndpoint ${name} belongs to container ${spec.containerID}`;
  const unnamed = ips.find((ip) => !spec.ipNetworks?.includes(hostCidr(ip)));
  if (unnamed) return `WorkloadEndpoint ${name} does not name ${unnamed}`;
  const machine = machineOf(metadata?.labels);
  const handles = [
    handleIdOf(request),
    stableHandleOf(request),
    machine && machineHandleOf(request, machine.name),
  ];
  const allocated = handles.flatMap((id) => (id ? context.allocator.addressesOf(id) : []));
  // Addresses that are given without a record (ipAddrsNoIpam) have none to miss.
  const recorded = !isDelegated(request) && !request.config.features.ipAddrsNoIpam;
  const free = recorded ? ips.find((ip) => !allocated.includes(ip)) : undefined;
  return free && `address ${free} is not allocated to ${handleIdOf(request)}`;
}

function missingOnHost(
  { kernel }: CniContext,
  { hostInterface }: EndpointIdentity,
  ips: readonly Ip[],
): string | undefined {
  const host = kernel.link(hostInterface);
  if (!host?.up) return `host interface ${hostInterface} is missing or down`;
  const routes = kernel.routes();
  const unrouted = ips.find(
    (ip) => routes.find((r) => r.destination === hostCidr(ip))?.linkIndex !== host.index,
  );
  return unrouted && `host route ${hostCidr(unrouted)} dev ${host.name} is missing`;
}

function missingInContainer(
  context: CniContext,
  request: CniRequest,
  expected: Parameters<typeof missingInside>[1],
): string | undefined {
  try {
    const inside = context.kernel.enter(request.netns);
    try {
      return missingInside(
        {
          link: inside.link(request.ifname),
          addresses: inside.addresses(),
          routes: inside.routes(),
        },
        expected,
      );
    } finally {
      inside.close();
    }
  } catch (cause) {
    if (cause instanceof OpError) return cause.message;
    throw cause;
  }
}

// CNI SPEC: an error if firewall rules are missing. ADD answers after they are written, so there is
// nothing to wait for.
async function missingRules(
  { tables, ipv6Tables, view }: CniContext,
  { key, hostInterface }: EndpointIdentity,
): Promise<string | undefined> {
  const networks = view.endpoint(key)?.endpoint.spec.ipNetworks ?? [];
  const hasIpv6 = networks.some((network) => network.includes(':'));
  const kinds = [
    { name: 'filter table', tables },
    ...(hasIpv6 && ipv6Tables ? [{ name: 'IPv6 filter table', tables: ipv6Tables }] : []),
  ];
  for (const kind of kinds) {
    const filter = await kind.tables.read('filter');
    const chains = (['ingress', 'egress'] as const).map((way) =>
      endpointChainName(way, hostInterface),
    );
    const absent = chains.find((chain) => !filter.has(chain));
    if (absent) return `chain ${absent} is missing in the ${kind.name}`;
  }
  return undefined;
}
