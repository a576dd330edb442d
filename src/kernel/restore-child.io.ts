// A restore command that is kept open: one transaction per call, no exec per change. Transactions
// travel one at a time, so that a refusal names its own; a child that ended is started anew by the
// next call. It works in the network namespace in which it was started.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { OpError } from '../base/op-error.ts';

/** A lock held by others or a hung command must not hold us for ever. */
const COMMIT_MILLISECONDS_MAX = 30_000;
const ERROR_BYTES_MAX = 4096;

export interface RestoreCommand {
  readonly argv: readonly string[];
  /** Lines written once, when a child starts. */
  readonly opening: readonly string[];
  /** Lines that make the child print the acknowledgement of transaction `id`. */
  ack(id: number): readonly string[];
  /** Whether a line of output acknowledges transaction `id`. */
  acknowledges(line: string, id: number): boolean;
}

interface Running {
  readonly id: number;
  readonly what: string;
  readonly lines: readonly string[];
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
  private output = '';
  private errors = '';

  constructor(command: RestoreCommand) {
    this.command = command;
  }

  /** Resolves when the kernel has the lines; throws OpError with the refused line. */
  commit(what: string, lines: readonly string[]): Promise<void> {
    const done = this.queue.then(() => this.send(what, lines));
    this.queue = done.catch(() => {});
    return done;
  }

  /** Ends the child after what was committed. */
  async close(closing: readonly string[] = []): Promise<void> {
    await this.queue;
    const { child } = this;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.stdin.end(closing.map((line) => `${line}\n`).join(''));
    await ended;
  }

  private send(what: string, lines: readonly string[]): Promise<void> {
    const child = this.child ?? this.start();
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), COMMIT_MILLISECONDS_MAX);
      this.running = { id, what, lines, resolve, reject, timer };
      child.stdin.write(`${[...lines, ...this.command.ack(id)].join('\n')}\n`);
    });
  }

  private start(): ChildProcessWithoutNullStreams {
    const [file, ...args] = this.command.argv;
    const child = spawn(file!, args);
    this.child = child;
    this.output = '';
    this.errors = '';
    child.stdin.on('error', () => {}); // the exit tells why
    child.stderr.on('data', (text) => {
      this.errors = (this.errors + String(text)).slice(-ERROR_BYTES_MAX);
    });
    child.stdout.on('data', (text) => this.read(String(text)));
    child.on('error', (error) => this.ended(child, error.message));
    child.on('close', (code, signal) =>
      this.ended(child, this.errors.trim() || `ended with ${signal ?? `code ${code}`}`),
    );
    for (const line of this.command.opening) child.stdin.write(`${line}\n`);
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
    running.reject(new OpError(running.what, `${why}${this.refusedLine(running, why)}`));
  }

  // "line N failed" counts every line that the child read; only the last transaction can fail.
  private refusedLine(running: Running, why: string): string {
    return /line/i.test(why) && running.lines.length === 1 ? `: ${running.lines[0]}` : '';
  }
}

/** Prefix of a command that shall work in another network namespace. */
export const inNamespace = (netnsPath: string | undefined): readonly string[] =>
  netnsPath === undefined ? [] : ['nsenter', `--net=${netnsPath}`];
