// Before a member starts: step by step until this node's data is that of a member. The first node
// begins the datastore; each further one joins as a learner, copies, and votes once it has all. etcd
// then starts as its command says, since it goes by its data.

import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../base/op-error.ts';
import type { EtcdMembers, Member } from '../../datastore/members.io.ts';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { type Open, using } from '../members.io.ts';
import { MemberData } from './data.io.ts';
import { decide, type Step, type View } from './decide.ts';
import { flagOf, whileRunning } from './process.io.ts';
import { withoutAddress } from './record.ts';
import { nodesWithPods, readRecord, type SharedRecord } from './shared-record.io.ts';

export interface Preparation {
  readonly objects: SharedObjects;
  readonly namespace: string;
  readonly node: string;
  readonly address: string;
  readonly membersMax: number;
  /** Name of the snapshot to begin anew from, and its folder. */
  readonly restore: string;
  readonly snapshots: string;
  /** etcd's command. */
  readonly command: readonly string[];
  /** http://host:port where etcd answers /readyz. */
  readonly healthUrl: string;
  readonly openMembers: Open;
  readonly say: (words: string) => void;
  readonly signal: AbortSignal;
}

/** One after the other, before the container ends and Kubernetes shows that. */
const FAILURES_MAX = 20;
const LOOK_MILLISECONDS = 1000;
const PROMOTE_MILLISECONDS = 200;
const READY_MILLISECONDS = 1000;
/** A node that starts again must not wait for an API server which waits for the datastore. */
const SILENT_API_TRIES = 5;

/** Returns once etcd may start. Throws where it must not. */
export async function prepareMember(preparation: Preparation): Promise<void> {
  const { say, signal } = preparation;
  const preparing = new Preparing(preparation);
  let said = '';
  for (let failures = 0; ; ) {
    const step = await preparing.next();
    const words = `${step.do}: ${step.why}`;
    if (words !== said) say(words);
    said = words;
    if (step.do === 'start') return;
    if (step.do === 'refuse') throw new Error(step.why);
    try {
      const isDone = await preparing.take(step);
      // Not another look: the others may miss its vote until it starts.
      if (step.do === 'join' || step.do === 'promote') return;
      failures = 0;
      if (isDone) continue;
    } catch (cause) {
      if (++failures > FAILURES_MAX || signal.aborted) throw cause;
      say(`${step.do} failed: ${messageOf(cause)}`);
    }
    await pause(LOOK_MILLISECONDS, undefined, { signal });
  }
}

class Preparing {
  private readonly given: Preparation;
  private readonly data: MemberData;
  private readonly peerUrl: string;
  private shared: SharedRecord | undefined;
  private members: readonly Member[] | undefined;
  /** The member that answered last. */
  private asked: string | undefined;
  private silentSince: number | undefined;
  private apiFailures = 0;
  private readonly absentSince = new Map<string, number>();

  constructor(given: Preparation) {
    this.given = given;
    this.data = new MemberData(given.command);
    this.peerUrl = flagOf(given.command, '--initial-advertise-peer-urls');
  }

  /** Looks at everything and decides. */
  async next(): Promise<Step> {
    try {
      this.shared = await readRecord(this.given.objects, this.given.namespace);
      await this.askMembers();
      const step = decide(this.view());
      // Pods tell whose member is given up, and that only concerns who wants to come in.
      const isNewcomer = step.do === 'join' || step.do === 'wait';
      if (isNewcomer) await this.lookAtPods();
      this.apiFailures = 0;
      return isNewcomer ? decide(this.view()) : step;
    } catch (cause) {
      this.apiFailures++;
      const why = `the record of the members cannot be read (${messageOf(cause)})`;
      return this.data.isThere && this.apiFailures >= SILENT_API_TRIES
        ? { do: 'start', why: `${why}, and there is data` }
        : { do: 'wait', why };
    }
  }

  private view(): View {
    const { node, address, membersMax, restore, snapshots } = this.given;
    const now = performance.now();
    return {
      ...{ node, address, membersMax, restore },
      peerUrl: this.peerUrl,
      hasSnapshot: restore !== '' && existsSync(join(snapshots, restore)),
      hasData: this.data.isThere,
      epoch: this.data.epoch,
      record: this.shared?.record,
      members: this.members,
      silentSeconds: (now - (this.silentSince ?? now)) / 1000,
      absentSeconds: (host) => (now - (this.absentSince.get(host) ?? now)) / 1000,
    };
  }

  // Each by itself: the first that speaks for a majority is heard.
  private async askMembers(): Promise<void> {
    const { node, command, openMembers } = this.given;
    const own = flagOf(command, '--advertise-client-urls');
    const urls = Object.entries(this.shared?.record?.members ?? {})
      .filter(([name]) => name !== node)
      .map(([, address]) => own.replace(this.given.address, address));
    const ask = async (url: string) => ({
      url,
      members: await using(openMembers, [url], (one) => one.list(true)),
    });
    try {
      const { url, members } = await Promise.any(urls.map(ask));
      [this.asked, this.members, this.silentSince] = [url, members, undefined];
    } catch {
      this.members = undefined;
      this.silentSince ??= performance.now();
    }
  }

  private async lookAtPods(): Promise<void> {
    const { objects, namespace } = this.given;
    const present = await nodesWithPods(objects, namespace);
    const nodes = Object.entries(this.shared?.record?.members ?? {});
    for (const member of this.members ?? []) {
      const host = new URL(member.peerUrls[0] ?? this.peerUrl).hostname;
      const isThere =
        present.has(host) || nodes.some(([name, address]) => address === host && present.has(name));
      if (isThere) this.absentSince.delete(host);
      else if (!this.absentSince.has(host)) this.absentSince.set(host, performance.now());
    }
  }

  /** Answers whether it was done; else all is looked at anew after a moment. */
  async take(step: Step): Promise<boolean> {
    const { data, given } = this;
    switch (step.do) {
      case 'record':
        return (await this.shared?.write(step.record)) ?? false;
      case 'set-aside':
        data.setAside(Date.now());
        data.setEpoch(this.shared?.record?.epoch ?? '');
        return true;
      case 'restore':
        await data.restore(join(given.snapshots, given.restore), given.restore);
        return true;
      case 'found':
        data.setEpoch('');
        await whileRunning(given.command, given.signal, (signal) => this.isReady(signal));
        return true;
      case 'remove':
        await this.ask((members) => members.remove(step.member.id));
        await this.forget(step.member);
        return true;
      case 'set-peer-url':
        await this.ask((members) => members.setPeerUrl(step.member.id, step.url));
        return true;
      case 'join':
        await this.join();
        return true;
      case 'promote':
        await whileRunning(given.command, given.signal, (signal) =>
          this.promote(step.member.id, signal),
        );
        return true;
      case 'wait':
      case 'start':
      case 'refuse':
        return false;
    }
  }

  private ask<T>(work: (members: EtcdMembers) => Promise<T>): Promise<T> {
    return using(this.given.openMembers, this.asked === undefined ? undefined : [this.asked], work);
  }

  // Its own place in the record stays: it is about to come in again.
  private async forget({ peerUrls }: Member): Promise<void> {
    const host = new URL(peerUrls[0] ?? this.peerUrl).hostname;
    const record = this.shared?.record;
    if (record && host !== this.given.address)
      await this.shared?.write(withoutAddress(record, host));
  }

  private async join(): Promise<void> {
    const { command } = this.given;
    this.data.setAside(Date.now());
    this.data.setEpoch(this.shared?.record?.epoch ?? '');
    const id = await this.ask((members) => members.addLearner(this.peerUrl));
    const members = await this.ask((all) => all.list(true));
    const cluster = members.flatMap((member) =>
      member.peerUrls.map((url) => {
        // Only one's own name counts, and names that several have would be one member.
        const name = member.id === id ? flagOf(command, '--name') : member.id.toString(16);
        return `${name}=${url}`;
      }),
    );
    const more = [`--initial-cluster=${cluster.join(',')}`, '--initial-cluster-state=existing'];
    await whileRunning([...command, ...more], this.given.signal, (signal) =>
      this.promote(id, signal),
    );
  }

  private async promote(id: bigint, signal: AbortSignal): Promise<void> {
    let said = '';
    for (;;) {
      try {
        const members = await this.ask((all) => all.list(true));
        if (members.some((member) => member.id === id && !member.isLearner)) return;
        await this.ask((all) => all.promote(id));
      } catch (cause) {
        const words = messageOf(cause);
        if (words !== said) this.given.say(`copies: ${words}`);
        said = words;
      }
      await pause(PROMOTE_MILLISECONDS, undefined, { signal });
    }
  }

  private async isReady(signal: AbortSignal): Promise<void> {
    while (!(await answersWell(`${this.given.healthUrl}/readyz`)))
      await pause(PROMOTE_MILLISECONDS, undefined, { signal });
  }
}

// Not fetch: it takes etcd's port for one of a chat. Asked too early, etcd never answers.
const answersWell = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get(url, { timeout: READY_MILLISECONDS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.on('close', () => resolve(false));
  });
