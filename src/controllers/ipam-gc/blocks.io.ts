// Blocks: empty ones that their node can spare go back to the pool, and addresses whose rest is over
// are free again even when nobody writes their block.
import type { KeyValue } from '../../datastore/store.ts';
import { isAbandoned } from '../../ipam/block.ts';
import { ownerlessBlock } from '../../ipam/claim/give-back.ts';
import { collectCooled } from '../../ipam/cooldown.ts';
import { parseBlock, parseIpamConfig, printIpam } from '../../model/ipam.ts';
import { cooldownSeconds } from '../../model/ipam-config.ts';
import { affinityKey, blockKey, IPAM_CONFIG_KEY, parseKey } from '../../model/keys.ts';
import type { ControllerParts } from '../reconcile.io.ts';
import type { OwnedBlock } from './facts.ts';

type Parts = Pick<ControllerParts, 'store' | 'clock' | 'log'>;

/** `items`: what the decision was made on; whoever wrote since wins. */
export async function giveUpEmptyBlock(
  { store, log }: Parts,
  items: readonly KeyValue[],
  { cidr, node }: OwnedBlock,
): Promise<void> {
  const stored = items.find(({ key }) => key === blockKey(cidr));
  const affinity = items.find(({ key }) => key === affinityKey(node, cidr));
  const block = stored && parseBlock(stored.value);
  if (!affinity || !stored || !block?.ok) return;
  const { kind } = await store.transaction(
    [affinity, stored].map(({ key, revision }) => ({ key, revision })),
    [{ kind: 'delete', key: affinity.key }, ...ownerlessBlock(stored.key, block.value, node)],
  );
  if (kind === 'committed') log.info({ block: cidr, node }, 'ipam: an empty block was given back');
}

export async function endBlocksRest(
  { store, clock }: Parts,
  items: readonly KeyValue[],
): Promise<void> {
  const config = items.find(({ key }) => key === IPAM_CONFIG_KEY);
  const parsed = config && parseIpamConfig(config.value);
  const seconds = cooldownSeconds(parsed?.ok ? parsed.value : undefined);
  for (const { key, value, revision } of items) {
    if (parseKey(key)?.kind !== 'block' || !value.includes('"releasedAt"')) continue;
    const block = parseBlock(value);
    if (!block.ok) continue;
    const rested = collectCooled(block.value, { now: clock.date(), seconds });
    if (rested === block.value) continue;
    const sequenceNumber = BigInt(rested.sequenceNumber) + 1n;
    await store.transaction(
      [{ key, revision }],
      isAbandoned(rested)
        ? [{ kind: 'delete', key }]
        : [{ kind: 'put', key, value: printIpam({ ...rested, sequenceNumber }) }],
    );
  }
}
