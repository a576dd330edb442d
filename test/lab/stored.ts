// What the lab's etcd holds.
import { toolPath } from '../cluster/tools.ts';
import type { Lab } from './lab.ts';

/** Keys below a prefix, without it, sorted. */
export async function keys(lab: Lab, prefix: string): Promise<string[]> {
  const etcdctl = await toolPath('etcdctl');
  const host = lab.host(0);
  const output = host.exec([
    etcdctl,
    `--endpoints=${lab.etcdEndpoint}`,
    'get',
    prefix,
    '--prefix',
    '--keys-only',
  ]);
  return output
    .split('\n')
    .filter(Boolean)
    .map((key) => key.slice(prefix.length))
    .sort();
}

/** Everything under /calico/ as etcd holds it. */
export async function items(lab: Lab): Promise<readonly { key: string; value: string }[]> {
  const etcdctl = await toolPath('etcdctl');
  const argv = [
    etcdctl,
    `--endpoints=${lab.etcdEndpoint}`,
    'get',
    '/calico/',
    '--prefix',
    '-w',
    'json',
  ];
  const { kvs } = JSON.parse(lab.host(0).exec(argv)) as { kvs: { key: string; value: string }[] };
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString();
  return kvs.map(({ key, value }) => ({ key: text(key), value: text(value) }));
}
