// This node's MTU: looked at when the agent starts and whenever interfaces, pools or settings change.
// What pods get stands in a file that other programs read; what does not fit is told in the log, as an
// event of the Kubernetes node, in the probe's text and as a metric. The Node record carries both figures.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Store } from '../../datastore/store.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import { encapsulationsOf } from '../../model/mtu.ts';
import { MTU_ANNOTATION, type NodeSpec, printNodeMtu } from '../../model/node.ts';
import type { Ip } from '../../net/ip.ts';
import { writeRecord } from '../start-up/records.io.ts';
import { hostMtuOf, judge, type MtuVerdict } from './judge.ts';
import { askedNow, effectiveSettings, type MtuSettings } from './settings.ts';

/** After each failure it is waited twice as long: who may not make events will not be heard. */
const RETRY_MILLISECONDS = 10_000;
const RETRY_MILLISECONDS_MAX = 600_000;
const STATE_FOLDER = '/var/lib/calico';

export interface NodeMtuParts {
  readonly node: string;
  readonly kubernetesNode: string;
  readonly settings: MtuSettings;
  readonly store: Store;
  readonly kernel: Pick<Kernel, 'links' | 'addresses'>;
  readonly kubernetes: Pick<KubernetesApi, 'warnOfNode'> | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly pools: () => readonly IpPool[];
  readonly felix: () => FelixConfigurationSpec;
  readonly nodeAddress: () => Ip | undefined;
  /** The interfaces carry another size now. */
  readonly hostChanged: () => void;
  readonly stateFolder?: string;
  readonly retryMilliseconds?: number;
}

export class NodeMtu {
  private readonly parts: NodeMtuParts;
  private verdict: MtuVerdict | undefined;
  private telling = false;
  private told: string | undefined;
  private warned: string | undefined;

  constructor(parts: NodeMtuParts) {
    this.parts = parts;
  }

  /** Undefined before the first look. */
  get state(): MtuVerdict | undefined {
    return this.verdict;
  }

  /** Interfaces, pools or settings may be others now. */
  look(): void {
    const { log, hostChanged } = this.parts;
    const before = this.verdict;
    const next = this.judge();
    if (!next || JSON.stringify(next) === JSON.stringify(before)) return;
    this.verdict = next;
    if (next.podMtu !== before?.podMtu) this.writeFile(next.podMtu);
    const { host, podMtu, problem } = next;
    log.info({ interface: host.interfaceName, host: host.mtu, pods: podMtu }, 'MTU');
    if (problem && problem !== before?.problem) log.warn(problem);
    if (!problem && before?.problem) log.info('the MTU fits again');
    if (before && before.host.mtu !== host.mtu) hostChanged();
    if (!this.telling) void this.tell();
  }

  private judge(): MtuVerdict | undefined {
    const { kernel, settings, felix, pools, nodeAddress, log } = this.parts;
    try {
      const { tunnels, pattern } = effectiveSettings(settings, felix());
      const own = nodeAddress();
      const carrier = kernel.addresses().find(({ ip }) => ip === own)?.linkIndex;
      const host = hostMtuOf(kernel.links(), pattern, carrier);
      const encapsulations = encapsulationsOf(pools().map(({ spec }) => spec));
      const asked = askedNow(settings, encapsulations);
      return host && judge({ host, encapsulations, tunnels, asked });
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, 'the interfaces cannot be read');
      return undefined;
    }
  }

  // Whoever reads it meanwhile sees the old or the new figure, never a part.
  private writeFile(mtu: number): void {
    const { stateFolder = STATE_FOLDER, log } = this.parts;
    try {
      mkdirSync(stateFolder, { recursive: true });
      const part = join(stateFolder, '.mtu');
      writeFileSync(part, String(mtu));
      renameSync(part, join(stateFolder, 'mtu'));
    } catch (cause) {
      log.error({ cause: messageOf(cause) }, 'the MTU file cannot be written');
    }
  }

  /** The Node record and an event, until both have been heard. */
  private async tell(): Promise<void> {
    this.telling = true;
    const { signal, log, retryMilliseconds = RETRY_MILLISECONDS } = this.parts;
    let wait = retryMilliseconds;
    while (!signal.aborted && this.verdict) {
      const { verdict } = this;
      try {
        await this.annotate(verdict);
        await this.warn(verdict.problem);
        if (verdict === this.verdict) break;
      } catch (cause) {
        log.warn({ cause: messageOf(cause) }, 'the MTU could not be told; it will be repeated');
        await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
        wait = Math.min(2 * wait, RETRY_MILLISECONDS_MAX);
      }
    }
    this.telling = false;
  }

  private async annotate({ host, podMtu, problem }: MtuVerdict): Promise<void> {
    const { node } = this.parts;
    const text = printNodeMtu({
      host: host.mtu,
      interface: host.interfaceName,
      pods: podMtu,
      ...(problem ? { problem } : {}),
    });
    if (text === this.told) return;
    await writeRecord<NodeSpec>(this.parts, {
      key: resourceKey('nodes', node),
      kind: 'Node',
      name: node,
      next: (spec) => spec, // no record, no annotation
      annotations: { [MTU_ANNOTATION]: text },
    });
    this.told = text;
  }

  private async warn(problem: string | undefined): Promise<void> {
    const { kubernetes, kubernetesNode } = this.parts;
    if (problem && problem !== this.warned)
      await kubernetes?.warnOfNode(kubernetesNode, { reason: 'MTUMismatch', message: problem });
    this.warned = problem;
  }
}
