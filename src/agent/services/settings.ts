// The service proxy's settings from the agent's environment. Off unless asked for: a kube-proxy that
// runs beside us stays untouched.
import { fail, ok, type Result } from '../../base/result.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { RENDER_MODES, type RenderMode } from '../../services/render/render.ts';

export interface ServiceProxySettings {
  /** Chains as kube-proxy writes them today, or as it did in 2018. */
  readonly mode: RenderMode;
  /** Where pods live, by family at most one: traffic from elsewhere to a service's own address is
   *  masqueraded. */
  readonly clusterCidrs: readonly Cidr[];
  /** Node ports are served on addresses of the node in these ranges; none: on all. */
  readonly nodePortAddresses: readonly Cidr[];
  /** Node ports are served on loopback addresses too (IPv4): takes sysctl route_localnet. */
  readonly localhostNodePorts: boolean;
  readonly masqueradeAll: boolean;
  /** The bit of the packet mark that asks for masquerading; policy's marks begin at bit 16. */
  readonly masqueradeBit: number;
  /** `externalIPs` outside these ranges are not served (CVE-2020-8554). */
  readonly externalCidrs: readonly Cidr[];
  /** Nor are addresses of load balancers outside these; none: all are, for who may write a Service
   *  may not write its status. */
  readonly loadBalancerCidrs: readonly Cidr[];
  /** Where load balancers ask for this node's health; undefined: nowhere. */
  readonly healthAddress: Ip | undefined;
  /** Write also while a kube-proxy answers on this node. */
  readonly takeOver: boolean;
}

const MASQUERADE_BIT = { default: 14, max: 15 };

/** Undefined: switched off. Errors: the first variable that cannot be used. */
export function serviceProxySettings(
  env: Readonly<Record<string, string | undefined>>,
): Result<ServiceProxySettings | undefined> {
  const wrong: string[] = [];
  const truth = (name: string): boolean => {
    const text = (env[name] || 'false').toLowerCase();
    if (text !== 'true' && text !== 'false')
      wrong.push(`${name}: '${env[name]}' must be true or false`);
    return text === 'true';
  };
  const cidrs = (name: string): readonly Cidr[] =>
    (env[name] ?? '')
      .split(',')
      .map((text) => text.trim())
      .filter((text) => text !== '')
      .flatMap((text) => {
        const parsed = parseCidr(text);
        if (!parsed) wrong.push(`${name}: '${text}' is no prefix such as 10.0.0.0/8`);
        return parsed ? [parsed] : [];
      });
  const health = env['CALICO_SERVICE_PROXY_HEALTH_ADDRESS'] ?? '';
  const healthAddress = parseIp(health);
  if (health !== '' && !healthAddress)
    wrong.push(`CALICO_SERVICE_PROXY_HEALTH_ADDRESS: '${health}' is no address`);
  const enabled = truth('CALICO_SERVICE_PROXY');
  const text = env['CALICO_SERVICE_PROXY_MODE'] || 'modern';
  const mode = RENDER_MODES.find((known) => known === text);
  if (!mode)
    wrong.push(`CALICO_SERVICE_PROXY_MODE: '${text}' must be one of ${RENDER_MODES.join(', ')}`);
  const masqueradeBit = Number(
    env['CALICO_SERVICE_PROXY_MASQUERADE_BIT'] || MASQUERADE_BIT.default,
  );
  if (!Number.isInteger(masqueradeBit) || masqueradeBit < 0 || masqueradeBit > MASQUERADE_BIT.max)
    wrong.push(
      `CALICO_SERVICE_PROXY_MASQUERADE_BIT: '${env['CALICO_SERVICE_PROXY_MASQUERADE_BIT']}' must be 0 to ${MASQUERADE_BIT.max}`,
    );
  const settings: ServiceProxySettings = {
    mode: mode ?? 'modern',
    clusterCidrs: cidrs('CALICO_SERVICE_PROXY_CLUSTER_CIDR'),
    nodePortAddresses: cidrs('CALICO_SERVICE_PROXY_NODEPORT_ADDRESSES'),
    localhostNodePorts: truth('CALICO_SERVICE_PROXY_LOCALHOST_NODE_PORTS'),
    masqueradeAll: truth('CALICO_SERVICE_PROXY_MASQUERADE_ALL'),
    masqueradeBit,
    externalCidrs: cidrs('CALICO_SERVICE_PROXY_EXTERNAL_CIDRS'),
    loadBalancerCidrs: cidrs('CALICO_SERVICE_PROXY_LOAD_BALANCER_CIDRS'),
    healthAddress,
    takeOver: truth('CALICO_SERVICE_PROXY_TAKE_OVER'),
  };
  if (wrong[0] !== undefined) return fail(wrong[0]);
  return ok(enabled ? settings : undefined);
}
