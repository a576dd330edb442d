// Whether a secret shows where it must not: in what is stored of the chart's objects, in command lines, in
// logs, and in the datastore.
import type { Cluster } from './cluster.ts';
import { outcomeOf } from './command.ts';

const NAMESPACE = 'kube-system';

/** The places where one of the texts shows; what was looked at is counted. */
export async function secretsShown(
  cluster: Cluster,
  secrets: readonly string[],
  datastore: string,
): Promise<{ readonly shown: readonly string[]; readonly looked: number }> {
  const looks: [place: string, text: Promise<string>][] = [
    ['datastore', Promise.resolve(datastore)],
    ['objects', cluster.kubectl([...KINDS, '-A', '-o', 'yaml'])],
    ['release', cluster.helm(['get', 'all', 'calico', '-n', NAMESPACE])],
  ];
  const rows = await cluster.kubectl(['-n', NAMESPACE, 'get', 'pods', '-o', 'name']);
  for (const pod of rows
    .trim()
    .split('\n')
    .filter((name) => name.includes('/calico-')))
    looks.push([
      `log of ${pod}`,
      cluster.kubectl(['-n', NAMESPACE, 'logs', pod, '--all-containers', '--tail=-1']),
    ]);
  for (const { name } of cluster.nodes) {
    looks.push([`command lines of ${name}`, cluster.enter(name, ['ps', '-eww', '-o', 'args'])]);
    const find = 'grep -rhs . /var/log/calico /var/lib/calico /run/calico 2>/dev/null; true';
    looks.push([`files of ${name}`, cluster.enter(name, ['bash', '-c', find])]);
  }
  const shown: string[] = [];
  for (const [place, text] of looks) {
    const { ok, output } = await outcomeOf(text);
    if (!ok) shown.push(`${place}: ${output}`);
    else if (secrets.some((secret) => output.includes(secret))) shown.push(place);
  }
  return { shown, looked: looks.length };
}

const KINDS = ['get', 'configmaps,daemonsets,deployments,jobs,cronjobs,pods,events'];
