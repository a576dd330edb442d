// Speaker and agent on one kernel: a pool changes its encapsulation, each learns of it when it does, and at
// no moment is a block without a route, nor in the end one without a claim.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KernelEvent, Route } from '../kernel/kernel.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import type { RouteFacts } from './desired.ts';
import { RouteSync } from './sync.ts';
import { AGENT, ownerOf, type RoutePool, SPEAKER } from './writer.ts';

const POOL = cidr('192.168.0.0/16');
const OWN = cidr('192.168.1.0/26');
const REMOTE = cidr('192.168.2.0/26');
const NODE = ip('10.200.0.12');
const VTEP = ip('192.168.2.1');

const MODES: Readonly<Record<string, Omit<RoutePool, 'cidr'>>> = {
  ipip: { ipip: 'Always', vxlan: 'Never' },
  vxlan: { ipip: 'Never', vxlan: 'Always' },
  near: { ipip: 'Never', vxlan: 'CrossSubnet' },
  never: { ipip: 'Never', vxlan: 'Never' },
  ipipByAgent: { ipip: 'Always', vxlan: 'Never', owner: 'agent' },
  neverByAgent: { ipip: 'Never', vxlan: 'Never', owner: 'agent' },
};

function machine() {
  const kernel = memoryKernel();
  const index = (name: string) => kernel.addLink({ name, mtu: 1500, up: true }).index;
  const [eth0, tunl0, vxlan] = [index('eth0'), index('tunl0'), index('vxlan.calico')];
  const subnet = cidr('10.200.0.0/24');
  const connected: Route = {
    destination: subnet,
    kind: 'unicast',
    linkIndex: eth0,
    scope: 'link',
    onlink: false,
    protocol: 2,
    metric: 0,
  };
  kernel.apply([{ kind: 'addRoute', route: connected }]);
  const writers = [SPEAKER, AGENT].map((writer) => {
    const sync = new RouteSync(writer);
    const events: KernelEvent[] = [];
    kernel.subscribe((event) => events.push(event), new AbortController().signal);
    sync.begin(kernel.routes());
    sync.learned([{ prefix: REMOTE, nextHops: [NODE] }]);
    return { writer, sync, events };
  });
  const facts = (mode: string, hasVtep: boolean): RouteFacts => ({
    blackholes: new Set([OWN]),
    held: new Set(),
    statics: new Map(),
    pools: [{ cidr: POOL, ...MODES[mode]! }],
    subnets: [subnet],
    tunnelLink: tunl0,
    overlay: { links: new Map([[4, vxlan]]), vteps: new Map(hasVtep ? [[NODE, VTEP]] : []) },
    ignoredLinks: new Set(),
  });
  const at = (prefix: Cidr) => kernel.routes().filter(({ destination }) => destination === prefix);
  return { kernel, writers, facts, at, eth0, tunl0, vxlan };
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('mode'), mode: fc.constantFrom(...Object.keys(MODES)) }),
  fc.record({ kind: fc.constant('vtep'), known: fc.boolean() }),
  // Speaker or agent learns of it, hears the kernel, and writes.
  fc.record({ kind: fc.constant('learn'), who: fc.nat(1) }),
  fc.record({ kind: fc.constant('write'), who: fc.nat(1) }),
);

test('a pool goes from hand to hand: always a route, in the end the right one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { kernel, writers, facts, at, eth0, tunl0, vxlan } = machine();
      let [mode, hasVtep] = ['never', true];
      const learn = (who: number): void => writers[who]!.sync.setFacts(facts(mode, hasVtep));
      const write = async (who: number): Promise<void> => {
        const { sync, events } = writers[who]!;
        await Promise.resolve(); // the kernel's words arrive
        for (const event of events.splice(0)) sync.heard(event);
        const changes = sync.take(10);
        sync.done(changes, kernel.applyEach(changes));
      };
      const settle = async (): Promise<void> => {
        for (let round = 0; round < 4; round++)
          for (const who of [0, 1]) {
            learn(who);
            await write(who);
          }
      };
      await settle();
      for (const one of steps) {
        if (one.kind === 'mode') mode = one.mode;
        else if (one.kind === 'vtep') hasVtep = one.known;
        else if (one.kind === 'learn') learn(one.who);
        else await write(one.who);
      }
      hasVtep = true;
      await settle();
      const owner = ownerOf({ cidr: POOL, ...MODES[mode]! });
      const protocol = owner === 'agent' ? AGENT.protocol : SPEAKER.protocol;
      const { ipip, vxlan: overlay } = MODES[mode]!;
      const link = ipip === 'Always' ? tunl0 : overlay === 'Always' ? vxlan : eth0;
      const [remote, own] = [at(REMOTE), at(OWN)];
      assert.deepEqual(
        [remote.map((r) => [r.protocol, r.linkIndex]), own.map((r) => [r.protocol, r.kind])],
        [[[protocol, link]], [[protocol, 'blackhole']]],
      );
    }),
  );
});

test('from IP-in-IP over VXLAN to none nothing is without a route for a moment', async () => {
  const { kernel, writers, facts, at } = machine();
  const gaps: string[] = [];
  const round = async (mode: string, hasVtep: boolean): Promise<void> => {
    for (const { sync, events } of writers) {
      await Promise.resolve();
      for (const event of events.splice(0)) sync.heard(event);
      sync.setFacts(facts(mode, hasVtep));
      for (const change of sync.take(10)) {
        sync.done([change], kernel.applyEach([change]));
        for (const prefix of [OWN, REMOTE])
          if (at(prefix).length === 0 && mode !== 'start') gaps.push(`${mode} ${prefix}`);
      }
    }
  };
  await round('ipip', false);
  gaps.length = 0;
  // The other's VXLAN address comes late: its IP-in-IP route stays as long.
  for (const [mode, hasVtep] of [
    ['vxlan', false],
    ['vxlan', true],
    ['never', true],
    ['near', true],
    ['ipip', true],
  ] as const)
    for (let i = 0; i < 3; i++) await round(mode, hasVtep);
  assert.deepEqual(gaps, []);
});
