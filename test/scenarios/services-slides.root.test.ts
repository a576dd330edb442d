// The shape of 2018: a node's listing as it was shown then. `services-slides.txt` is what
// `iptables -t nat -L -n -v` prints of these services without the counters, one space between columns.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RenderedModel } from '../../src/agent/services/model/rendered-model.ts';
import { serviceProxySettings } from '../../src/agent/services/settings.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { WholeObject } from '../../src/kubernetes/api.ts';
import { ServiceWriter } from '../../src/services/write/writer.io.ts';
import { createNetns, netnsPath } from '../lab/netns.ts';
import { exec } from './policy-pods.ts';

const SAVED = readFileSync(join(import.meta.dirname, 'services-slides-save.txt'), 'utf8').trim();
const LISTING = readFileSync(join(import.meta.dirname, 'services-slides.txt'), 'utf8');

/** `port` is `name/protocol/port/nodePort`. */
const service = (namespace: string, name: string, ip: string, ...ports: readonly string[]) =>
  ({
    metadata: { namespace, name },
    spec: {
      type: ports.some((port) => port.split('/')[3]) ? 'NodePort' : 'ClusterIP',
      clusterIP: ip,
      clusterIPs: [ip],
      ports: ports.map((text) => {
        const [portName, protocol, port, nodePort = 0] = text.split('/');
        return { name: portName, protocol, port: Number(port), nodePort: Number(nodePort) };
      }),
    },
  }) as unknown as WholeObject;

const slice = (of: WholeObject, ...addresses: readonly string[]): WholeObject => {
  const { namespace, name } = of.metadata;
  const { ports } = (of as unknown as { spec: { ports: readonly object[] } }).spec;
  return {
    metadata: { namespace, name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports,
  } as unknown as WholeObject;
};

const ETCD = service('kube-system', 'calico-etcd', '10.96.232.136', '/TCP/6666');
const DNS = service('kube-system', 'kube-dns', '10.96.0.10', 'dns/UDP/53', 'dns-tcp/TCP/53');
const API = service('default', 'kubernetes', '10.96.0.1', 'https/TCP/443');
const NGINX = service('default', 'nginx', '10.102.249.96', '/TCP/80/31000');

interface Node {
  readonly model: RenderedModel;
  /** Writes what the model wants; what the kernel then lists. */
  write(): Promise<string>;
  /** What `iptables-save` shows of nat's rules now. */
  saved(): string;
}

/** Of one chain: as they stand. */
const byChain = (a: string, b: string): number => {
  const [one, other] = [a, b].map((line) => line.split(' ')[1]!);
  return one! < other! ? -1 : one! > other! ? 1 : 0;
};

async function withNode(work: (node: Node) => Promise<void>): Promise<void> {
  const settings = serviceProxySettings({
    CALICO_SERVICE_PROXY: 'true',
    CALICO_SERVICE_PROXY_MODE: '2018',
    CALICO_SERVICE_PROXY_CLUSTER_CIDR: '192.168.0.0/16',
  });
  assert.ok(settings.ok && settings.value);
  const netns = createNetns(`ckt-slides-${process.pid}`);
  try {
    const tables = await openTables({ netnsPath: netnsPath(netns.name), backend: 'nft' });
    const model = new RenderedModel('k8sn1', settings.value);
    for (const one of [ETCD, DNS, API, NGINX]) model.putService(one);
    model.putSlice(slice(ETCD, '10.0.2.6'));
    model.putSlice(slice(DNS, '192.168.104.1'));
    model.putSlice(slice(API, '10.0.2.6'));
    model.putSlice(slice(NGINX, '192.168.219.68', '192.168.104.3', '192.168.166.131'));
    const writer = new ServiceWriter(tables);
    const write = async (): Promise<string> => {
      await writer.apply(model.wanted(4));
      return exec(netns, 'iptables-nft', '-t', 'nat', '-L', '-n', '-v');
    };
    const saved = (): string =>
      exec(netns, 'iptables-nft-save', '-t', 'nat')
        .split('\n')
        .filter((line) => line.startsWith('-A '))
        .sort(byChain)
        .join('\n');
    await work({ model, write, saved });
    await tables.close();
  } finally {
    netns.remove();
  }
}

/** Newer commands print a protocol's number. */
const PROTOCOLS: Readonly<Record<string, string>> = { '0': 'all', '6': 'tcp', '17': 'udp' };

/** A chain's lines without counters, one space between columns. */
function chainOf(listing: string, name: string): string {
  const lines = listing.split(/\n(?=Chain )/).find((text) => text.startsWith(`Chain ${name} `));
  assert.ok(lines, name);
  const [head, ...rows] = lines.trim().split('\n');
  const texts = rows.map((row) => {
    const [, , target, protocol = '', ...rest] = row.trim().split(/\s+/);
    return [target, PROTOCOLS[protocol] ?? protocol, ...rest].join(' ');
  });
  return [head, ...texts].join('\n');
}

test('the listing of 2018, line for line, and what the save command shows', () =>
  withNode(async ({ write, saved }) => {
    const listing = await write();
    for (const wanted of LISTING.trim().split('\n\n'))
      assert.equal(chainOf(listing, wanted.split(' ')[1]!), wanted);
    assert.equal(saved(), SAVED);
  }));

test('a service that changes among the others: masquerading still stands before its jump', () =>
  withNode(async ({ model, write }) => {
    await write();
    // The same masquerading rule, another jump.
    const spec = { ...(NGINX as unknown as { spec: object }).spec, internalTrafficPolicy: 'Local' };
    model.putService({ ...NGINX, spec } as WholeObject);
    const local = slice(NGINX, '192.168.104.3') as unknown as {
      endpoints: { nodeName?: string }[];
    };
    for (const endpoint of local.endpoints) endpoint.nodeName = 'k8sn1';
    model.putSlice(local as unknown as WholeObject);
    const rows = chainOf(await write(), 'KUBE-SERVICES')
      .split('\n')
      .slice(2, -1);
    assert.equal(rows.length, 10);
    for (const [i, row] of rows.entries())
      assert.match(row, i % 2 === 0 ? /^KUBE-MARK-MASQ / : /^KUBE-SV[CL]-/);
    assert.ok(rows.some((row) => row.startsWith('KUBE-SVL-4N57TFCL4MD7ZTDA ')));
  }));
