// The kubeconfig that stands beside the network configuration, from the pod's service account.

export interface ServiceAccountFacts {
  readonly host: string;
  readonly port: string;
  readonly token: string;
  /** PEM text. */
  readonly authority: string;
}

/** JSON, which is YAML as well. */
export function renderKubeconfig(facts: ServiceAccountFacts): string {
  const host = facts.host.includes(':') ? `[${facts.host}]` : facts.host;
  const cluster = {
    server: `https://${host}:${facts.port}`,
    'certificate-authority-data': btoa(facts.authority),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local', cluster }],
    users: [{ name: 'calico', user: { token: facts.token } }],
    contexts: [{ name: 'calico-context', context: { cluster: 'local', user: 'calico' } }],
    'current-context': 'calico-context',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
