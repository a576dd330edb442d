// The node's own address of a family while the agent runs: found anew from time to time and when interfaces change.
// Another one goes into the Node record, from which sessions, tunnel routes and rules of all nodes follow.
// One that another node has is not taken: the node keeps the old one and says so.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Store } from '../../datastore/store.ts';
import { resourceKey } from '../../model/keys.ts';
import type { NodeSpec } from '../../model/node.ts';
import { type InterfaceAddress, printInterfaceAddress as text } from '../../net/cidr.ts';
import { type LookParts, lookAround } from './look.io.ts';
import { type AddressPlan, decideAddress } from './node-address.ts';
import { addressTaken, holderOf, withAddress } from './own-node.ts';
import { readNodes, writeRecord } from './records.io.ts';

const RETRY_MILLISECONDS = 1000;

/** What a start has settled. */
export interface Started {
  readonly node: string;
  readonly kubernetesNode: string;
  /** Of IPv4; undefined when IP is `none`. */
  readonly nodeAddress: InterfaceAddress | undefined;
  readonly plan: AddressPlan;
  readonly ipv6: Pick<Started, 'nodeAddress' | 'plan'>;
  /** Another node may have the same address (DISABLE_NODE_IP_CHECK). */
  readonly mayShare: boolean;
}

export interface AddressWatchParts extends LookParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly retryMilliseconds?: number;
}

export class AddressWatch {
  /** Another node has the address that this one should have. */
  problem: string | undefined;
  /** The address that the node is known by is on no interface. */
  warning: string | undefined;
  private readonly parts: AddressWatchParts;
  private readonly started: Omit<Started, 'ipv6'>;
  private readonly moved: () => void;
  private address: InterfaceAddress | undefined;
  private working = false;
  private again = false;

  /** Of the plan's family. `moved`: the address is another. */
  constructor(parts: AddressWatchParts, started: Omit<Started, 'ipv6'>, moved: () => void) {
    this.parts = parts;
    this.started = started;
    this.moved = moved;
    this.address = started.nodeAddress;
  }

  get current(): InterfaceAddress | undefined {
    return this.address;
  }

  /** Looks in the background, and repeats what fails. */
  wake(): void {
    this.again = true;
    const { kind } = this.started.plan;
    if (!this.working && kind !== 'none' && kind !== 'keep') void this.work();
  }

  private async work(): Promise<void> {
    this.working = true;
    const { signal, log, retryMilliseconds = RETRY_MILLISECONDS } = this.parts;
    while (this.again && !signal.aborted) {
      this.again = false;
      try {
        await this.look();
      } catch (cause) {
        log.warn({ cause: messageOf(cause) }, "the node's address could not be looked after");
        await sleep(retryMilliseconds, undefined, { signal, ref: false }).catch(() => undefined);
        this.again = true;
      }
    }
    this.working = false;
  }

  private async look(): Promise<void> {
    const { plan, node, kubernetesNode, mayShare } = this.started;
    const before = this.address;
    const around = await lookAround(this.parts, plan, kubernetesNode);
    const decision = decideAddress(plan, before, around);
    if (!decision.ok) return this.tell({ warning: decision.error });
    const { address, because, warning } = decision.value;
    if (!address || isSame(address, before)) return this.tell({ warning });
    const holder = holderOf(address, node, await readNodes(this.parts.store));
    if (holder && !mayShare) return this.tell({ problem: addressTaken(holder, address) });
    this.parts.log.warn(
      { was: before && text(before), address: text(address), because },
      "the node's address changes",
    );
    this.address = address; // whoever hears of the record's change asks for it
    await this.write(address).catch((cause: unknown) => {
      this.address = before;
      throw cause;
    });
    this.tell({});
    this.moved();
  }

  private write(address: InterfaceAddress): Promise<void> {
    const { node, plan } = this.started;
    return writeRecord<NodeSpec>(this.parts, {
      key: resourceKey('nodes', node),
      kind: 'Node',
      name: node,
      next: (spec) => spec && withAddress(spec, plan.family, address),
    });
  }

  private tell(now: { readonly problem?: string; readonly warning?: string | undefined }): void {
    const { log } = this.parts;
    if (now.problem && now.problem !== this.problem) log.error(now.problem);
    if (now.warning && now.warning !== this.warning) log.warn(now.warning);
    this.problem = now.problem;
    this.warning = now.warning;
  }
}

const isSame = (a: InterfaceAddress, b: InterfaceAddress | undefined): boolean =>
  b !== undefined && text(a) === text(b);
