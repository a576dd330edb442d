// Finds paths to other nodes that swallow large packets: asks every node now and then with a datagram as
// large as pods' packets make one, which no router may cut up, and where nobody answers looks for the size
// that passes. Off unless an interval is set; all nodes that take part answer on one UDP port.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import type { Milliseconds } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import { udpFd } from '../../kernel/udp.io.ts';
import { parseKey } from '../../model/keys.ts';
import type { Ip } from '../../net/ip.ts';
import { answer, question, readProbe } from './probe-message.ts';
import { type PathVerdict, searchPath } from './search.ts';

export interface PathProbeParts {
  readonly intervalMilliseconds: Milliseconds;
  readonly port: number;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly node: string;
  /** Addresses of all nodes, by key. */
  readonly nodes: () => ReadonlyMap<string, Ip>;
  readonly nodeAddress: () => Ip | undefined;
  /** Octets of the largest packet that pods' traffic makes between nodes; undefined: not known yet. */
  readonly needed: () => number | undefined;
  readonly answerMilliseconds?: Milliseconds;
}

export interface Path {
  readonly address: Ip;
  readonly verdict: PathVerdict;
  readonly needed: number;
}

/** A packet may be lost for other reasons than its size. */
const TRIES = 3;
const ANSWER_MILLISECONDS = 500;
const AT_ONCE = 8;
const TTL = 64;

export class PathProbe {
  private readonly parts: PathProbeParts;
  private readonly found = new Map<string, Path>();
  private readonly waiting = new Map<bigint, { readonly from: Ip; readonly heard: () => void }>();
  private open: { readonly socket: Socket; readonly address: Ip } | undefined;

  /** Runs until the signal fires. */
  constructor(parts: PathProbeParts) {
    this.parts = parts;
    this.listen();
    void this.run();
  }

  /** What is known of the paths, by node. */
  get paths(): ReadonlyMap<string, Path> {
    return this.found;
  }

  /** What is wrong, in words. */
  get problem(): string | undefined {
    const narrow = [...this.found].filter(([, { verdict }]) => verdict.kind === 'narrow');
    const [first] = narrow.map(([node, path]) => words(node, path));
    const more = narrow.length > 1 ? `, and ${narrow.length - 1} more like it` : '';
    return first && `${first}${more}`;
  }

  /** Answers where the node's address is now. */
  listen(): void {
    const { nodeAddress, port, log } = this.parts;
    const address = nodeAddress();
    if (address === undefined || address === this.open?.address) return;
    this.close();
    try {
      const fd = udpFd({ address, port, ttl: TTL, minTtl: 0, dontFragment: true });
      const socket = createSocket('udp4');
      socket.on('message', (bytes, { address: from, port: theirs }) =>
        this.hear(bytes, from as Ip, theirs),
      );
      socket.on('error', (cause) => {
        log.warn({ cause: messageOf(cause) }, 'paths are not probed for a while');
        if (this.open?.socket === socket) this.close();
      });
      socket.bind({ fd });
      this.open = { socket, address };
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, `paths cannot be probed on UDP port ${port}`);
    }
  }

  private close(): void {
    const { open } = this;
    this.open = undefined;
    open?.socket.close();
  }

  private async run(): Promise<void> {
    const { intervalMilliseconds, signal } = this.parts;
    while (!signal.aborted) {
      try {
        this.listen();
        await this.round();
      } catch (cause) {
        this.parts.log.warn({ cause: messageOf(cause) }, 'the paths were not probed');
      }
      await pause(intervalMilliseconds, signal);
    }
    this.close();
  }

  private peers(): ReadonlyMap<string, Ip> {
    const { nodes, node } = this.parts;
    const names = [...nodes()].map(([key, ip]) => [nodeOf(key), ip] as const);
    return new Map(names.filter(([name]) => name !== node));
  }

  /** A few at a time, so that answers do not come in a flood. */
  private async round(): Promise<void> {
    const peers = this.peers();
    for (const node of this.found.keys()) if (!peers.has(node)) this.found.delete(node);
    const left = [...peers];
    const most = this.parts.needed();
    if (most === undefined || !this.open) return;
    const work = async (): Promise<void> => {
      for (let next = left.shift(); next; next = left.shift()) {
        const [node, address] = next;
        if (this.parts.signal.aborted) return;
        const verdict = await searchPath(most, (octets) => this.passes(address, octets));
        this.note(node, { address, verdict, needed: most });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  private note(node: string, path: Path): void {
    const { log } = this.parts;
    const before = this.found.get(node);
    this.found.set(node, path);
    const [was, is] = [before?.verdict, path.verdict];
    if (JSON.stringify(was) === JSON.stringify(is)) return;
    const facts = { node, address: path.address };
    if (is.kind === 'narrow')
      log.warn({ ...facts, passes: is.largest, needed: path.needed }, words(node, path));
    else if (is.kind === 'silent')
      log.info({ ...facts, port: this.parts.port }, 'the node answers no probe of its path');
    else if (was) log.info({ ...facts, passes: path.needed }, 'large packets pass again');
  }

  private async passes(address: Ip, octets: number): Promise<boolean> {
    for (let attempt = 0; attempt < TRIES; attempt++)
      if (await this.ask(address, octets)) return true;
    return false;
  }

  private ask(address: Ip, octets: number): Promise<boolean> {
    const { port, answerMilliseconds = ANSWER_MILLISECONDS } = this.parts;
    const token = randomBytes(8).readBigUInt64BE();
    return new Promise((resolve) => {
      const end = (answered: boolean): void => {
        clearTimeout(timer);
        this.waiting.delete(token);
        resolve(answered);
      };
      const timer = setTimeout(() => end(false), answerMilliseconds);
      this.waiting.set(token, { from: address, heard: () => end(true) });
      // EMSGSIZE: larger than the node's own link.
      this.open?.socket.send(question(token, octets), port, address, (cause) => {
        if (cause) end(false);
      });
    });
  }

  private hear(bytes: Buffer, from: Ip, port: number): void {
    const message = readProbe(bytes);
    if (!message) return;
    if (message.kind === 'answer') {
      const asked = this.waiting.get(message.token);
      if (asked?.from === from) asked.heard();
      return;
    }
    // Strangers get no answer.
    for (const address of this.parts.nodes().values())
      if (address === from) {
        this.open?.socket.send(answer(message.token), port, from, () => undefined);
        return;
      }
  }
}

function nodeOf(path: string): string {
  const key = parseKey(path);
  return key?.kind === 'resource' ? key.name : path;
}

const words = (node: string, { address, verdict, needed }: Path): string =>
  `packets of more than ${verdict.kind === 'narrow' ? verdict.largest : 0} octets to node ${node} ` +
  `(${address}) vanish, and pods' are up to ${needed}: mend the path, or lower networking.mtu`;
