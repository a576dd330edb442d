// A restore command that is kept open: one transaction per call, no exec per change. Transactions
// travel one at a time, so that a refusal names its own; a child that ended is started anew by the
// next call. It works in the network namespace in which it was started.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { OpError } from '../base/op-error.ts';
import { freshTurn } from '../base/pause.io.ts';
import { runInBackground } from './libc.io.ts';
import { refusalText, refusedIndex } from './refusal.ts';

/** A lock held by others or a hung command must not hold us for ever. */
const COMMIT_MILLISECONDS_MAX = 30_000;
const ERROR_BYTES_MAX = 4096;
/** A child that had so many lines in one transaction keeps the memory that these took, up to 20 MiB:
 *  it is let go when it has rested for a while. */
const LONG_LINES = 1000;
const REST_MILLISECONDS = 2000;

export interface RestoreCommand {
  readonly argv: readonly string[];
  /** What must be there before a child starts. */
  prepare?(): Promise<void>;
  /** Lines that make the child print the acknowledgement of transaction `id`. */
  ack(id: number): readonly string[];
  /** Whether a line of output acknowledges transaction `id`. */
  acknowledges(line: string, id: number): boolean;
}

interface Running {
  readonly id: number;
  readonly what: string;
  readonly lines: readonly string[];
  /** How many lines the child had been sent before. */
  readonly linesBefore: number;
  readonly resolve: () => void;
  readonly reject: (error: OpError) => void;
  readonly timer: NodeJS.Timeout;
}

export class RestoreChild {
  private readonly command: RestoreCommand;
  private child: ChildProcessWithoutNullStreams | undefined;
  private running: Running | undefined;
  private queue: Promise<void> = Promise.resolve();
  private nextId = 1;
  private linesSent = 0;
  private hasGrown = false;
  private rest: NodeJS.Timeout | undefined;
  private closed = false;
  private output = '';
  private errors = '';

  constructor(command: RestoreCommand) {
    this.command = command;
  }

  /** Resolves when the kernel has the lines; throws OpError with the refused line. */
  commit(what: string, lines: readonly string[]): Promise<void> {
    if (this.closed) return Promise.reject(new OpError(what, 'it is closed'));
    const done = this.queue.then(() => this.send(what, lines));
    this.queue = done.catch(() => {});
    return done;
  }

  /** Ends the child after what was committed. */
  async close(): Promise<void> {
    this.closed = true;
    await this.queue;
    clearTimeout(this.rest);
    const { child } = this;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.stdin.end();
    await ended;
  }

  private letGoWhenAtRest(): void {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      const { child } = this;
      this.child = undefined;
      child?.stdin.end();
    }, REST_MILLISECONDS);
    this.rest.unref();
  }

  private async send(what: string, lines: readonly string[]): Promise<void> {
    clearTimeout(this.rest);
    if (!this.child) {
      await this.command.prepare?.();
      await freshTurn(); // to start a program takes milliseconds
    }
    const child = this.child ?? this.start();
    const id = this.nextId++;
    const linesBefore = this.linesSent;
    const sent = [...lines, ...this.command.ack(id)];
    this.linesSent += sent.length;
    this.hasGrown ||= lines.length > LONG_LINES;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.errors += `\nno answer within ${COMMIT_MILLISECONDS_MAX} ms`;
        child.kill('SIGKILL');
      }, COMMIT_MILLISECONDS_MAX);
      this.running = { id, what, lines, linesBefore, resolve, reject, timer };
      // Without descriptors a child does not start and has no pipes; its error ends what is running.
      if (child.pid !== undefined) child.stdin.write(`${sent.join('\n')}\n`);
    });
    if (this.hasGrown) this.letGoWhenAtRest();
  }

  private start(): ChildProcessWithoutNullStreams {
    const [file, ...args] = this.command.argv;
    const child = spawn(file!, args);
    this.child = child;
    this.hasGrown = false;
    this.output = '';
    this.errors = '';
    this.linesSent = 0;
    child.on('error', (error) => this.ended(child, error.message));
    if (child.pid === undefined) return child;
    runInBackground(child.pid);
    child.stdin.on('error', () => {}); // the exit tells why
    child.stderr.on('data', (text) => {
      this.errors = (this.errors + String(text)).slice(-ERROR_BYTES_MAX);
    });
    child.stdout.on('data', (text) => this.read(String(text)));
    child.on('close', (code, signal) =>
      this.ended(child, `ended with ${signal ?? `code ${code}`}`),
    );
    return child;
  }

  private read(text: string): void {
    const lines = (this.output + text).split('\n');
    this.output = lines.pop() ?? '';
    for (const line of lines) {
      const { running } = this;
      if (running && this.command.acknowledges(line, running.id)) {
        this.finish(running);
        running.resolve();
      }
    }
  }

  private finish({ timer }: Running): void {
    clearTimeout(timer);
    this.running = undefined;
  }

  private ended(child: ChildProcessWithoutNullStreams, why: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    const { running } = this;
    if (!running) return;
    this.finish(running);
    const { what, lines, linesBefore } = running;
    // When only the acknowledgement was refused, all lines before it hold.
    if ((refusedIndex(this.errors, linesBefore) ?? -1) >= lines.length) running.resolve();
    else running.reject(new OpError(what, refusalText(this.errors, linesBefore, lines) ?? why));
  }
}

/** Prefix of a command that shall work in another network namespace. */
export const inNamespace = (netnsPath: string | undefined): readonly string[] =>
  netnsPath === undefined ? [] : ['nsenter', `--net=${netnsPath}`];
