// What the programs may ask of the API server against what they asked: its audit log names each call of
// a service account.
import { readFileSync } from 'node:fs';
import { NAMESPACE } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { AUDIT_LOG } from './netns/control-plane.ts';

const ACCOUNTS = ['calico-node', 'calico-kube-controllers', 'calico-connectivity-test'];

/** Rights that a quiet cluster does not use, with what uses them. */
const SELDOM: readonly (readonly [right: RegExp, use: string])[] = [
  [/^calico-node get (pods|namespaces|nodes)$/, 'a pod starts before the watch has told of it'],
  [/^calico-node (list|watch) (services|endpointslices)$/, 'addresses of services are announced'],
  [/^calico-node (list|watch|get) secrets$/, 'a BGP peer has a password'],
  [/^calico-kube-controllers get (pods|nodes)$/, 'before an address or a node is given up'],
  [/^calico-kube-controllers get namespaces$/, 'a policy of a namespace that is new'],
  [/^calico-kube-controllers get virtualmachine(instance)?s$/, 'an address is kept for a VM'],
  [/^calico-kube-controllers (list|watch) endpointslices$/, 'a rule names a Service'],
];

interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

/** Calls of our service accounts. `ACCOUNT VERB RESOURCE` */
function calls(): readonly (readonly [call: string, code: number])[] {
  return readFileSync(AUDIT_LOG, 'utf8')
    .split('\n')
    .filter(Boolean)
    .flatMap((line): readonly (readonly [string, number])[] => {
      const { verb, user, objectRef, responseStatus } = JSON.parse(line) as AuditEvent;
      const account = user.username.split(':').at(-1)!;
      if (!ACCOUNTS.includes(account) || !objectRef?.resource) return [];
      const { resource, subresource } = objectRef;
      const what = subresource ? `${resource}/${subresource}` : resource;
      return [[`${account} ${verb} ${what}`, responseStatus?.code ?? 0]];
    });
}

/** Calls that were forbidden. */
export const forbidden = (): readonly string[] =>
  calls().flatMap(([call, code]) => (code === 403 ? [call] : []));

interface Role {
  readonly metadata: { readonly name: string };
  readonly rules?: readonly {
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

/** Rights that are granted and that nobody used, but for those that are seldom needed. */
export async function unusedRights(cluster: Cluster): Promise<readonly string[]> {
  const read = async (...args: string[]): Promise<readonly Role[]> =>
    (JSON.parse(await cluster.kubectl(['get', ...args, '-o', 'json'])) as { items: Role[] }).items;
  const roles = [
    ...(await read('clusterroles')),
    ...(await read('roles', '-n', NAMESPACE)),
    ...(await read('roles', '-n', 'calico-connectivity')),
  ];
  const used = new Set(calls().map(([call]) => call));
  const granted = ACCOUNTS.flatMap((account) =>
    roles
      .filter(({ metadata: { name } }) => name === account || name === `${account}-bgp-secrets`)
      .flatMap(({ rules = [] }) => rules)
      .flatMap(({ resources, verbs }) =>
        resources.flatMap((resource) => verbs.map((verb) => `${account} ${verb} ${resource}`)),
      ),
  );
  return granted.filter(
    (right) => !used.has(right) && !SELDOM.some(([seldom]) => seldom.test(right)),
  );
}
