// CNI CHECK: is what ADD made still there: interface, addresses, host route, record, allocation.
import { OpError } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { endpointIdentity } from '../../cni/endpoint.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import { type CniRequest, handleIdOf } from '../../cni/request.ts';
import { hostCidr } from '../../net/cidr.ts';
import type { CniContext } from './context.ts';

/** Answers an empty stdout, or the first thing that is missing. */
export function checkPod(context: CniContext, request: CniRequest): Result<string, CniError> {
  const missing = firstMissing(context, request);
  return missing === undefined ? ok('') : fail(cniError('internal', `CHECK: ${missing}`));
}

function firstMissing(context: CniContext, request: CniRequest): string | undefined {
  const identity = endpointIdentity(context.node, request);
  const ips = context.allocator.addressesOf(handleIdOf(request));
  if (ips.length === 0) return `no address is allocated to ${handleIdOf(request)}`;
  if (!context.view.endpoint(identity.key)) return `WorkloadEndpoint ${identity.name} is missing`;
  const host = context.kernel.link(identity.hostInterface);
  if (!host?.up) return `host interface ${identity.hostInterface} is missing or down`;
  const routes = context.kernel.routes();
  for (const ip of ips) {
    const route = routes.find((r) => r.destination === hostCidr(ip));
    if (route?.linkIndex !== host.index)
      return `host route ${hostCidr(ip)} dev ${host.name} is missing`;
  }
  return missingInside(context, request, ips);
}

function missingInside(
  context: CniContext,
  request: CniRequest,
  ips: readonly string[],
): string | undefined {
  try {
    const inside = context.kernel.enter(request.netns);
    try {
      const link = inside.link(request.ifname);
      if (!link?.up) return `interface ${request.ifname} is missing or down in the container`;
      const present = new Set(
        inside
          .addresses()
          .filter((a) => a.linkIndex === link.index)
          .map((a) => a.ip as string),
      );
      const absent = ips.find((ip) => !present.has(ip));
      return absent && `address ${absent} is missing on ${request.ifname}`;
    } finally {
      inside.close();
    }
  } catch (cause) {
    if (cause instanceof OpError) return cause.message;
    throw cause;
  }
}
