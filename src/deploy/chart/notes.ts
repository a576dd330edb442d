// The chart's two texts for people: what Helm prints after an installation, and its README.
import type { SchemaPart } from '../../base/json-schema.ts';
import type { Settings } from '../constructs/settings.ts';
import { Expr, goOf } from '../helm/expr.ts';
import { printTable } from '../helm/values-text.ts';
import { risksOf } from '../risks.ts';

/** NOTES.txt: the next commands, and the risks of the given values. */
export function printNotes(settings: Settings): string {
  const risks = risksOf(settings).map(({ present, text }) => ({
    condition: present instanceof Expr ? goOf(present) : String(present),
    text,
  }));
  const present = `or ${risks.map(({ condition }) => condition).join(' ')}`;
  const lines = risks.map(({ condition, text }) => `{{- if ${condition} }}\n* ${text}\n{{- end }}`);
  return `Calico networking {{ $.Chart.AppVersion }} is installed for {{ $.Values.networking.podSubnet }}.

Watch it come up (calico-node 2/2 on every node, then the nodes turn Ready):

  kubectl -n kube-system rollout status daemonset/calico-node
  kubectl -n kube-system get pods -o wide | grep calico
  kubectl get nodes

Then look at the routes on any node:

  ip route show proto bird
{{- if ${present} }}

Worth knowing about these values:
${lines.join('\n')}
{{- end }}
`;
}

/** README.md of the chart. */
export function printReadme(schema: SchemaPart): string {
  return `# calico

Pod networking for Kubernetes: one agent and one BGP speaker per node, an etcd for their data, and
the controllers that feed it.

Generated from the constructs in \`src/deploy\`; change those and run \`make charts\`.

    helm install calico charts/calico --namespace kube-system
    helm upgrade calico charts/calico --namespace kube-system --set networking.mtu=9000
    helm uninstall calico --namespace kube-system

A change of \`networking.*\` restarts no node pod: the controllers write it into the datastore, which
the running agents and speakers watch. Only \`networking.mtu\` is read when the node pods start. It rolls
them, as a change of \`conf.node\`, \`images\` or \`etcd\` does, one node at a time; the data path stays in
place meanwhile.

Another \`networking.podSubnet\`, or another prefix or block size of a pool that is there, is refused
before anything is applied (Job \`calico-pools-check\`): pods have addresses of it. Helm prints why, and
how to renumber; \`helm rollback\` and further upgrades go on from the release as it was.

\`helm uninstall\` also takes routes, rules, links and files off every node and waits for it (Job and
DaemonSet \`calico-node-cleanup\`, which Helm deletes afterwards). The datastore under \`/var/etcd\`
stays, with its certificates and ConfigMap \`calico-etcd-members\`, unless
\`uninstall.removeDatastore\` is true. A node that is down cannot be cleaned: the command then ends with an error after four
minutes, and everything but that node is clean. The condition NetworkUnavailable=False that agents
set on their nodes is taken away too: without a network configuration nodes are NotReady, as before.

Without Helm: \`make synth\`, \`kubectl apply -f dist/\` (before changed manifests \`dist/check/\`,
whose Job must succeed); to uninstall, \`kubectl delete -f dist/\`, then
\`kubectl apply -f dist/uninstall/\` until all its pods are ready, and \`kubectl delete -f
dist/uninstall/\`.

Values files to start from are in [ci/](ci).

## Values

${printTable(schema)}
`;
}
