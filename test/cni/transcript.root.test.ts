// A recorded session of Calico's own plugin (transcript.json), replayed: results of every version and
// the keys after each step, field by field. What differs on purpose:
// - results name no route to the pod's block: the pod has no such route, and CHECK would ask for it;
// - the pod's default route is `onlink`, so that it stands without the gateway's route;
// - a namespace that cannot be opened is code 3 (the runtime need not call DEL), not 999;
// - which block a node claims first (the same for ever for a node, but another one than Calico's).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseJson, printJson } from '../../src/base/json.ts';
import { toolPath } from '../cluster/tools.ts';
import { CALICO, listOf, type Network, openNetwork } from './network.ts';
import { type Attachment, type CniJson, PluginFailure } from './runtime.ts';

interface Step {
  readonly step: 'ADD' | 'DEL' | 'etcd' | 'pod' | 'host' | 'unreadable';
  readonly container?: string;
  readonly cniVersion?: string;
  readonly result?: { readonly routes?: unknown };
  readonly keys?: Readonly<Record<string, object>>;
  readonly text?: readonly string[];
}

const STEPS = JSON.parse(
  readFileSync(join(import.meta.dirname, 'transcript.json'), 'utf8'),
) as readonly Step[];
const ROOT = '/calico/';

/** Names what is random: MACs in order of appearance, times, uids, sequence numbers by their growth. */
class Wildcards {
  private readonly macs: string[] = [];
  private first: bigint | undefined;
  private block: string | undefined;

  of(text: string): string {
    this.block ??= /"(192\.168\.\d+\.\d+)\/26"/.exec(text)?.[1];
    return this.withBlock(text)
      .replace(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, (mac) => {
        if (mac === 'ff:ff:ff:ff:ff:ff') return mac;
        if (!this.macs.includes(mac)) this.macs.push(mac);
        return `<mac ${this.macs.indexOf(mac) + 1}>`;
      })
      .replace(/"\d{4}-\d\d-\d\dT[^"]+"/g, '"<time>"')
      .replace(/"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"/g, '"<uid>"')
      .replace(/\b\d{19}\b/g, (digits) => {
        this.first ??= BigInt(digits) - 1n; // the block's number has grown once when it is first seen
        return `"S+${BigInt(digits) - this.first}"`;
      })
      .replace(/\/run\/netns\/[\w-]+-/g, '/run/netns/');
  }

  // Addresses by their place in the block.
  private withBlock(text: string): string {
    if (!this.block) return text;
    const base = this.block.split('.').slice(0, 3).join('\\.');
    const last = Number(this.block.split('.')[3]);
    return text.replace(
      new RegExp(`${base}\\.(\\d+)`, 'g'),
      (_all, ordinal: string) => `192.168.166.${128 + Number(ordinal) - last}`,
    );
  }
}

describe('a recorded session of Calico’s plugin', { timeout: 120_000 }, () => {
  let network: Network;
  const ours = new Wildcards();
  const theirs = new Wildcards();
  const containers = new Map<string, Attachment>();

  before(async () => {
    network = await openNetwork(async () => ({ NODENAME: 'node1' }));
  });
  after(() => network?.lab.stop());

  const containerOf = (name: string): Attachment => {
    const known = containers.get(name);
    if (known) return known;
    const made = { ...network.container(name), containerId: name };
    containers.set(name, made);
    return made;
  };

  async function keys(): Promise<ReadonlyMap<string, string>> {
    const etcdctl = [await toolPath('etcdctl'), `--endpoints=${network.lab.etcdEndpoint}`];
    const printed = network.host
      .exec([...etcdctl, 'get', ROOT, '--prefix'])
      .trim()
      .split('\n');
    const pairs = printed.flatMap((key, i): [string, string][] =>
      i % 2 === 0 ? [[key, printed[i + 1] ?? '']] : [],
    );
    return new Map(pairs);
  }

  /** Keys in another order are the same object. */
  const same = (actual: string, expected: object, what: string): void =>
    assert.deepEqual(parseJson(ours.of(actual)), parseJson(theirs.of(printJson(expected))), what);

  async function compareKeys(expected: Readonly<Record<string, object>>): Promise<void> {
    const stored = await keys();
    ours.of(stored.get([...stored.keys()].find((key) => key.includes('/block/')) ?? '') ?? '');
    const byName = new Map([...stored].map(([key, value]) => [ours.of(key), value]));
    for (const [key, value] of Object.entries(expected))
      same(byName.get(key) ?? 'null', value, key);
    const ipam = (names: Iterable<string>): string[] =>
      [...names].filter((name) => name.includes('/ipam/v2/') && !name.endsWith('/config')).sort();
    assert.deepEqual(ipam(byName.keys()), ipam(Object.keys(expected)));
  }

  for (const [i, step] of STEPS.entries()) {
    const { container = '', cniVersion, result, text } = step;
    const title = [i + 1, step.step, container, cniVersion].filter(Boolean).join(' ');
    test(title, async () => {
      const list = listOf([CALICO], cniVersion ?? '0.3.0');
      switch (step.step) {
        case 'ADD': {
          const added: CniJson = await network.runtime.add(list, containerOf(container));
          ours.of([...(await keys()).values()].join('\n'));
          const { routes: _routes, ...expected } = result ?? {};
          return same(printJson(added), expected, title);
        }
        case 'DEL':
          return network.runtime.delete(list, containerOf(container));
        case 'etcd':
          return compareKeys(step.keys ?? {});
        case 'pod': {
          const inside = network.inside(containerOf(container), 'ip', 'addr', 'show', 'eth0');
          const table = network.inside(containerOf(container), 'ip', 'route');
          const [, address, , , , ...routes] = text ?? [];
          assert.ok(ours.of(inside).includes(address!));
          assert.deepEqual(
            table
              .replaceAll(' onlink', '')
              .trim()
              .split('\n')
              .map((line) => line.trim()),
            routes,
          );
          return;
        }
        case 'host': {
          const table = ours.of(network.host.routes());
          for (const line of text ?? []) assert.ok(table.includes(line), `${line} in ${table}`);
          return;
        }
        case 'unreadable': {
          const nowhere = { containerId: container, netns: '/run/netns/nowhere' };
          const failure = await network.runtime.add(list, nowhere).catch((cause: unknown) => cause);
          assert.ok(failure instanceof PluginFailure);
          assert.equal(failure.code, 3);
          const handles = [...(await keys()).keys()].filter((key) => key.includes('/handle/'));
          assert.ok(!handles.some((key) => key.endsWith(`.${container}`)), 'nothing is left');
          return;
        }
      }
    });
  }
});
