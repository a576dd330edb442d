// Services with two endpoints each, as an API server has them.
import { createHash } from 'node:crypto';
import { FORWARDS_TABLE, forwardChain } from '../../../src/kernel/nftables/forwards.ts';
import type { WholeObject } from '../../../src/kubernetes/api.ts';
import { ip } from '../../../src/net/ip.ts';

const NAMESPACE = 'bench';
const octets = (n: number): string => `${(n >> 8) & 255}.${n & 255}`;
const nameOf = (i: number): string => `service-${i}`;

export const service = (i: number): WholeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: nameOf(i), namespace: NAMESPACE, uid: `s${i}` },
    spec: {
      type: 'ClusterIP',
      clusterIP: `10.96.${octets(i)}`,
      clusterIPs: [`10.96.${octets(i)}`],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }],
    },
    status: { loadBalancer: {} },
  }) as WholeObject;

/** `round` makes the second endpoint another one. */
export const slice = (i: number, round = 0): WholeObject =>
  ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${nameOf(i)}-1`,
      namespace: NAMESPACE,
      uid: `e${i}`,
      labels: {
        'kubernetes.io/service-name': nameOf(i),
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    endpoints: [`10.20.${octets(i)}`, `10.${21 + round}.${octets(i)}`].map((address) => ({
      addresses: [address],
      nodeName: 'n1',
      conditions: { ready: true, serving: true, terminating: false },
    })),
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
  }) as WholeObject;

export interface Chain {
  readonly table: string;
  readonly name: string;
  /** What must stand in it; absent: it is enough that it is there. */
  readonly text?: string;
}

const hash = (text: string): string => base32(createHash('sha256').update(text).digest());

/** The chain of the second endpoint (iptables/proxier.go, servicePortEndpointChainName). */
export function endpointChain(i: number, round = 0): Chain {
  const text = `${NAMESPACE}/${nameOf(i)}:httptcp10.${21 + round}.${octets(i)}:8080`;
  return { table: 'nat', name: `KUBE-SEP-${hash(text).slice(0, 16)}` };
}

/** Where ours serves it before its rules are written. */
export const aheadChain = (i: number): Chain => ({
  table: FORWARDS_TABLE,
  name: forwardChain({ protocol: 'tcp', ip: ip(`10.96.${octets(i)}`), port: 80 }),
});

/** In nftables mode endpoints stand in their service's chain (nftables/proxier.go,
 *  servicePortChainNameBase). */
export function nftablesChain(i: number, round = 0): Chain {
  const base = `${NAMESPACE}/${nameOf(i)}/tcp/http`;
  const name = `service-${hash(base).slice(0, 8)}-${base}`;
  const text = `10.${21 + round}.${octets(i)} `;
  return { table: 'kube-proxy', name, ...(round > 0 ? { text } : {}) };
}

/** RFC 4648, section 6. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  const digits = bits.match(/.{5}/g) ?? [];
  return digits
    .map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)])
    .join('');
}
