// Long TCP connections between pods while policy changes: what is denied now is cut, all else goes on.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import pino from 'pino';
import { FlowCutter } from '../../src/agent/policy-engine/conntrack.io.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { openConnections } from '../../src/kernel/conntrack/conntrack.io.ts';
import { inNetnsAt } from '../../src/kernel/namespaces.io.ts';
import { eventually } from '../lab/command.ts';
import { netnsPath } from '../lab/netns.ts';
import { endpoint, exec, type Pod, PROFILE, stored, withPods } from './policy-pods.ts';

const PORT = 8081;
const SERVICE = '10.96.0.7';
const deny = (ports: readonly number[], extra: object = {}): KeyValue =>
  stored('networkpolicies/default/cut', 'NetworkPolicy', {
    selector: "app == 'server'",
    types: ['Ingress'],
    ingress: [
      { action: 'Deny', protocol: 'TCP', destination: { ports }, ...extra },
      { action: 'Allow' },
    ],
  });

class Talks {
  private readonly children: ChildProcess[] = [];
  private readonly heard = new Map<number, number>();

  private async start({ netns }: Pod, ...args: readonly string[]): Promise<ChildProcess> {
    const script = join(import.meta.dirname, 'talk.ts');
    const argv = ['netns', 'exec', netns.name, process.execPath, script, ...args];
    const child = spawn('ip', argv, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.children.push(child);
    await once(child, 'message');
    return child;
  }

  async serve(pod: Pod): Promise<void> {
    const child = await this.start(pod, 'serve', String(PORT));
    child.on('message', ({ from }: { from: number }) =>
      this.heard.set(from, (this.heard.get(from) ?? 0) + 1),
    );
  }

  /** A connection from that port. */
  async call(pod: Pod, address: string, from: number): Promise<void> {
    await this.start(pod, 'call', address, String(PORT), String(from));
    await eventually('the server hears it', () => this.heard.has(from));
  }

  /** How many lines the server heard from that port in the next time. */
  async lines(from: number, milliseconds: number): Promise<number> {
    const before = this.heard.get(from) ?? 0;
    await setTimeout(milliseconds);
    return (this.heard.get(from) ?? 0) - before;
  }

  /** What the server heard last may still be on its way here when a connection is cut. */
  async isSilent(from: number, why: string): Promise<void> {
    await eventually(`${from}: ${why}`, async () => (await this.lines(from, 300)) === 0);
  }

  async goesOn(from: number): Promise<void> {
    const before = this.heard.get(from) ?? 0;
    await eventually(`${from} goes on`, () => (this.heard.get(from) ?? 0) > before + 3);
  }

  close(): void {
    for (const child of this.children) child.kill('SIGKILL');
  }
}

test('a change cuts the connections that it denies, and no other', (t) =>
  withPods(['a', 'b', 'c'], async ({ node, pods, start }) => {
    const [a, b, c] = pods as [Pod, Pod, Pod];
    const within = <T>(work: () => T): T => inNetnsAt(netnsPath(node.name), work);
    const stop = new AbortController();
    const talks = new Talks();
    let cutter: FlowCutter | undefined;
    const server = endpoint(b, 'server', [`${b.ipv6}/128`]);
    const client = (app: string) => endpoint(a, app, [`${a.ipv6}/128`]);
    const engine = start([PROFILE, client('client'), server, endpoint(c, 'other'), deny([9])], {
      observer: {
        applied: (_family, _took, commits) => commits > 0 && cutter?.written(),
        failed: () => undefined,
        programmed: () => undefined,
      },
    });
    try {
      await engine.inSync();
      cutter = new FlowCutter({
        facts: engine.facts,
        isBehind: () => engine.isBehind,
        connections: openConnections(within),
        ownAddresses: () => new Set(['10.244.98.1']),
        log: pino({ level: 'silent' }),
        signal: stop.signal,
      });
      await talks.serve(b);
      await talks.call(a, b.address, 4001);
      await talks.call(a, b.ipv6, 4002);
      await talks.call(c, b.address, 4003);
      const toService = ['-d', SERVICE, '-j', 'DNAT', '--to-destination', b.address];
      exec(node, 'iptables', '-t', 'nat', '-A', 'PREROUTING', ...toService);
      await talks.call(a, SERVICE, 4004);
      const all = [4001, 4002, 4003, 4004];
      const settled = async (item: KeyValue): Promise<void> => {
        engine.changes([{ kind: 'put', item }]);
        await engine.putEndpoint(server.key, server.value);
      };

      await settled(deny([9, 10]));
      await eventually('it was judged', () => cutter!.judged >= 4);
      for (const port of all) await talks.goesOn(port);
      assert.equal(cutter.cut, 0, 'a change that denies other things cuts nothing');

      await settled(deny([PORT], { source: { selector: "app == 'stranger'" } }));
      for (const port of all) await talks.goesOn(port);
      assert.equal(cutter.cut, 0);

      await settled(client('stranger'));
      const changedAt = performance.now();
      await eventually('those of a are cut', () => cutter!.cut >= 3);
      t.diagnostic(`cut ${Math.round(performance.now() - changedAt)} ms after the rules`);
      await talks.isSilent(4001, 'a label brings it into a denied set');
      await talks.isSilent(4002, 'over IPv6 too');
      await talks.isSilent(4004, 'and to a service');
      await talks.goesOn(4003);

      await settled(deny([PORT]));
      await talks.isSilent(4003, 'a new Deny');
      assert.equal(await talks.lines(4001, 300), 0, 'and what was cut does not come back');

      await settled(deny([9]));
      await talks.goesOn(4003);
    } finally {
      stop.abort();
      talks.close();
    }
  }));
