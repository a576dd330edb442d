// What a node knows of its own part of IPAM, in the form in which the auditor reads the datastore.

import type { IpPoolSpec } from '../../model/ip-pool.ts';
import { type IpamHandle, printIpam } from '../../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  IPAM_CONFIG_KEY,
  resourceKey,
} from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import type { Cidr } from '../../net/cidr.ts';
import { handleOf } from '../block.ts';
import type { IpamView } from '../ipam-view.ts';

export interface Item {
  readonly key: string;
  readonly value: string;
}

/**
 * The node's blocks and those it has addresses in, with every handle in them, every block of these
 * handles, and so on: counts can be compared only when both sides are whole.
 */
export function ownItems(view: IpamView, node: string): readonly Item[] {
  const blocks = new Set<Cidr>([...view.blocks.owned, ...view.blocks.used]);
  const handles = new Map<string, IpamHandle>();
  const items: Item[] = [];
  for (const cidr of blocks) {
    const block = view.blocks.get(cidr)?.value;
    if (!block) continue;
    items.push({ key: blockKey(cidr), value: printIpam(block) });
    for (const id of block.attributes.flatMap((attribute) => handleOf(attribute) ?? [])) {
      const handle = view.handles.get(id)?.value;
      if (!handle || handles.has(id)) continue;
      handles.set(id, handle);
      for (const more of view.blockNamesOf(id)) blocks.add(more); // the loop comes to it
    }
  }
  for (const [id, handle] of handles) items.push({ key: handleKey(id), value: printIpam(handle) });
  for (const [cidr, { value }] of view.affinities)
    if (blocks.has(cidr)) items.push({ key: affinityKey(node, cidr), value: printIpam(value) });
  for (const { name, spec } of view.pools.all()) items.push(poolItem(name, spec));
  if (view.config) items.push({ key: IPAM_CONFIG_KEY, value: printIpam(view.config) });
  return items;
}

const poolItem = (name: string, spec: IpPoolSpec): Item => ({
  key: resourceKey('ippools', name),
  value: printResource({ kind: 'IPPool', apiVersion: API_VERSION, metadata: { name }, spec }),
});
