// Which pool an address comes from, and what is said when none fits: on any datastore.
import assert from 'node:assert/strict';
import { eventually } from '../../test/lab/command.ts';
import type { Store } from '../datastore/store.ts';
import { IPAM_CONFIG_KEY, resourceKey } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import type { Ip } from '../net/ip.ts';
import { addNode, addPool, assigned, open, request, type Scenario } from './allocator.cases.ts';
import type { Allocator, AssignRequest } from './allocator.io.ts';

/** Put by somebody else: resolves when the allocator acts on it. */
export async function configure(store: Store, config: object): Promise<void> {
  const value = JSON.stringify(config);
  await store.transaction([], [{ kind: 'put', key: IPAM_CONFIG_KEY, value }]);
}

export async function reserve(store: Store, ...reservedCIDRs: readonly string[]): Promise<void> {
  const value = printResource({
    kind: 'IPReservation',
    apiVersion: API_VERSION,
    metadata: { name: 'r' },
    spec: { reservedCIDRs },
  });
  await store.transaction([], [{ kind: 'put', key: resourceKey('ipreservations', 'r'), value }]);
}

export async function refusal(
  allocator: Allocator,
  more: Partial<AssignRequest> = {},
): Promise<string> {
  const outcome = await allocator.assign(request('n.refused', more));
  assert.ok(outcome.kind === 'exhausted' || outcome.kind === 'refused', outcome.kind);
  return `${outcome.kind}: ${outcome.message}`;
}

const inNamespace = (labels: Record<string, string>) => ({ namespace: { name: 'x', labels } });

export function poolChoiceCases(scenario: Scenario): void {
  scenario('the pool whose nodeSelector matches the labels of the Node', async (store) => {
    await addPool(store, '10.20.0.0/24', { nodeSelector: 'rack == "1"' }, 'rack1');
    await addPool(store, '10.21.0.0/24', { nodeSelector: 'rack == "2"' }, 'rack2');
    await addNode(store, 'a', { rack: '2' });
    await addNode(store, 'ab', { rack: '1' });
    const [a, ab] = [await open(store, 'a'), await open(store, 'ab')];
    assert.match(await assigned(a, 'n.1'), /^10\.21\./);
    assert.match(await assigned(ab, 'n.2'), /^10\.20\./);
    const none = await open(store, 'none');
    assert.match(await refusal(none), /rack1: nodeSelector rack == "1": there is no Node none/);
  });

  scenario('blocks of an impossible size are never made, and why is said', async (store) => {
    const sizes = [8, 19, 33, -1, 25.5, '26', null];
    for (const [i, blockSize] of sizes.entries())
      await addPool(store, `10.${i}.0.0/16`, { blockSize } as object, `size${i}`);
    await addPool(store, '10.200.0.0/28', {}, 'small');
    await addPool(store, 'fd00::/48', { blockSize: 64 }, 'six');
    const a = await open(store, 'a');
    // Nothing at all is the usual size.
    assert.match(await assigned(a, 'n.1'), /^10\.6\./);
    await addPool(store, '10.6.0.0/16', { blockSize: 8 }, 'size6');
    const told = (words: RegExp, more: Partial<AssignRequest> = {}): Promise<unknown> =>
      eventually(`${words}`, async () => words.test(await refusal(a, more)));
    await told(/size6: blockSize 8 is not within 20\.\.32/);
    await told(/size0: blockSize 8 is .*size3: blockSize -1 is .*size4: blockSize 25\.5 is /);
    await told(/size5: blockSize "26" is not within/);
    await told(/small: 10\.200\.0\.0\/28 is smaller than one block of \/26/);
    await told(/the requested pool size2: blockSize 33 is not within/, { pools4: ['size2'] });
    await told(/six: blockSize 64 is not within 116\.\.128/, { count4: 0, count6: 1 });
    const requested = ['10.0.0.1' as Ip];
    await told(/10\.0\.0\.1: pool size0: blockSize 8 is not/, { requested });
  });

  scenario('the pool whose namespaceSelector matches the namespace', async (store) => {
    await addPool(store, '10.22.0.0/24', { namespaceSelector: 'team == "red"' }, 'red');
    const a = await open(store, 'a');
    assert.match(await assigned(a, 'n.1', inNamespace({ team: 'red' })), /^10\.22\./);
    assert.match(await refusal(a, inNamespace({ team: 'blue' })), /does not select namespace x/);
    assert.match(await refusal(a), /red: namespaceSelector .* the request has no namespace/);
  });

  scenario(
    'allowedUses, assignmentMode, disabled, bad selector: each said by name',
    async (store) => {
      await addPool(store, '10.23.0.0/24', { allowedUses: ['Tunnel'] }, 'a-tunnel');
      await addPool(store, '10.24.0.0/24', { assignmentMode: 'Manual' }, 'b-manual');
      await addPool(store, '10.25.0.0/24', { disabled: true }, 'c-off');
      await addPool(store, '10.26.0.0/24', { nodeSelector: 'rack ==' }, 'd-wrong');
      const a = await open(store, 'a');
      const message = await refusal(a);
      assert.match(
        message,
        /^exhausted: cannot find a qualified ippool for node a \(IPv4, Workload\)/,
      );
      assert.match(
        message,
        /a-tunnel: allowedUses has no Workload; b-manual: assignmentMode is Man/,
      );
      assert.match(message, /c-off: disabled; d-wrong: nodeSelector: .*column/);
      assert.match(await assigned(a, 'n.1', { use: 'Tunnel' }), /^10\.23\./);
    },
  );

  scenario(
    'asked pools: selectors are ignored, every one must exist and be enabled',
    async (store) => {
      await addPool(store, '10.27.0.0/24', { nodeSelector: '!all()' }, 'chosen');
      await addPool(store, '10.28.0.0/24', { disabled: true }, 'off');
      const a = await open(store, 'a');
      assert.match(await assigned(a, 'n.1', { pools4: ['chosen'] }), /^10\.27\./);
      assert.match(await assigned(a, 'n.2', { pools4: ['10.27.0.0/24'] }), /^10\.27\./);
      assert.match(
        await refusal(a, { pools4: ['chosen', 'absent'] }),
        /^refused: the requested pool absent does not exist/,
      );
      assert.match(
        await refusal(a, { pools4: ['off'] }),
        /refused: the requested pool off is disab/,
      );
      const six = { pools6: ['chosen'], count4: 0, count6: 1 } as const;
      assert.match(await refusal(a, six), /refused: the requested pool chosen is not IPv6/);
    },
  );

  scenario('reserved addresses are not given out, but by name', async (store) => {
    await addPool(store, '10.29.0.0/28', { blockSize: 30 });
    await reserve(store, '10.29.0.0/29', '10.29.0.8/31');
    const a = await open(store, 'a');
    const all = [];
    for (let n = 0; n < 6; n++) all.push(await assigned(a, `n.${n}`));
    assert.deepEqual(
      all.sort(),
      ['10', '11', '12', '13', '14', '15'].map((last) => `10.29.0.${last}`),
    );
    assert.match(await refusal(a), /No IPs available in pools: \[10\.29\.0\.0\/28\]/);
    const named = { requested: ['10.29.0.9' as Ip] };
    assert.equal(await assigned(a, 'n.named', named), '10.29.0.9');
    await store.transaction([], [{ kind: 'delete', key: resourceKey('ipreservations', 'r') }]);
    const b = await open(store, 'b');
    assert.match(await assigned(b, 'n.freed'), /^10\.29\.0\.[0-7]$/);
  });

  scenario('settings that change are obeyed by who runs already', async (store) => {
    await addPool(store, '10.30.0.0/29', { blockSize: 30 });
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    await assigned(a, 'n.a');
    for (let n = 0; n < 4; n++) await assigned(b, `n.b${n}`);
    await assigned(b, 'n.borrowed');
    await b.release({ handleId: 'n.borrowed' });
    await configure(store, { strict_affinity: true, auto_allocate_blocks: true });
    await eventually('strict', () => /strict affinity enabled/.test(b.shortage(4) ?? ''));
    await configure(store, { auto_allocate_blocks: true });
    await eventually('not strict', () => b.shortage(4) === undefined);
    assert.match(await assigned(b, 'n.again'), /^10\.30\.0\./);
    await addPool(store, '10.30.0.0/29', { blockSize: 30, disabled: true });
    await eventually('off', () => /disabled/.test(b.shortage(4) ?? ''));
  });
}
