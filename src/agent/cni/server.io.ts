// The agent's CNI socket: one connection per call. In: the plugin's type and each CNI_* variable, every
// one ended by a zero byte; a zero byte; stdin, ended by a zero byte or the end. Back: '0' or '1', the
// exit code; the bytes for stdout, ended as stdin was. Neither side waits for the other to close: that
// would be another turn of the event loop each way. Whose call ended with a zero byte closes the
// connection. Only root may connect.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from '../../base/log.io.ts';
import { fail, type Result } from '../../base/result.ts';
import { type CniError, cniError, printCniError } from '../../cni/errors.ts';
import { type CniRequest, parseRequest } from '../../cni/request.ts';
import { acceptUnix, bindUnix, closeUnix, receiveNow, sendNow } from '../../kernel/unix/unix.io.ts';

/** Bound on one request: configuration and environment are a few kilobytes. */
const REQUEST_BYTES_MAX = 1 << 20;

/** A turn of the loop is not to take long: the first steps of an ADD take a millisecond. */
const MORE_AT_ONCE = 8;

export type CniHandler = (request: CniRequest) => Promise<Result<string, CniError>>;

interface Call {
  /** `calico` or `calico-ipam`, as the runtime named the plugin. */
  readonly type: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

/** Listens until closed. `handle` may refuse by an error value; what it throws becomes code 999. */
export function serveCni(path: string, handle: CniHandler, log: Log): Server {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(path, { force: true });
  const fd = bindUnix(path);
  chmodSync(path, 0o600);
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    serveConnection(accepted(socket), handle, log);
    for (let more = MORE_AT_ONCE; more > 0 && server.listening; more--) {
      const next = acceptUnix(fd);
      if (next === undefined) return;
      serveConnection(taken(next), handle, log);
    }
  });
  return server.listen({ fd });
}

interface Connection {
  /** Undefined: only the stream can be used. */
  readonly fd: number | undefined;
  readonly stream: () => Socket;
  readonly close: () => void;
}

/** By us, without Node. */
const taken = (fd: number): Connection => ({
  fd,
  stream: () => new Socket({ fd, allowHalfOpen: true, readable: true, writable: true }),
  close: () => closeUnix(fd),
});

/** By Node, which has begun nothing with it: its descriptor is told by no public name. */
function accepted(socket: Socket): Connection {
  const { fd } = (socket as { _handle?: { readonly fd?: number } })._handle ?? {};
  return {
    fd: fd !== undefined && fd >= 0 ? fd : undefined,
    stream: () => socket,
    close: () => void socket.destroy(),
  };
}

/** Nearly every call has arrived whole when its turn comes, and its answer fits the socket. */
const atOnce = Buffer.allocUnsafeSlow(1 << 15);

// The common call needs no stream, and no turn of the loop for each of its steps: the first of many
// would wait for all that the others begin with.
function serveConnection(connection: Connection, handle: CniHandler, log: Log): void {
  const { fd, stream, close } = connection;
  const count = fd === undefined ? 0 : receiveNow(fd, atOnce);
  const bytes = atOnce.subarray(0, count);
  if (fd === undefined || !isWhole([bytes])) {
    serveSocket(stream(), count > 0 ? [Buffer.from(bytes)] : [], handle, log);
    return;
  }
  void answer(bytes.toString('utf8', 0, count - 1), handle, log, ({ exit, stdout }) => {
    const reply = Buffer.from(`${exit}${stdout}\0`);
    const sent = sendNow(fd, reply);
    if (sent === reply.length) close();
    else endBy(stream(), reply.subarray(sent), log);
  });
}

function endBy(socket: Socket, rest: Buffer, log: Log): void {
  socket.on('error', (error) => log.debug({ error: error.message }, 'CNI connection'));
  socket.end(rest);
}

/** `chunks`: what was read before. */
function serveSocket(socket: Socket, chunks: Buffer[], handle: CniHandler, log: Log): void {
  let size = chunks.reduce((sum, { length }) => sum + length, 0);
  let served = false;
  let answered = false;
  let ended = false;
  const serve = (end: '' | '\0'): void => {
    if (served) return;
    served = true;
    const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const text = bytes.toString('utf8', 0, bytes.length - end.length);
    const tell = ({ exit, stdout }: Answer): void => {
      answered = true;
      if (ended) socket.end(`${exit}${stdout}${end}`);
      else socket.write(`${exit}${stdout}${end}`);
    };
    if (size > REQUEST_BYTES_MAX) tell(refused(text, log));
    else void answer(text, handle, log, tell);
  };
  socket.on('data', (chunk) => {
    size += chunk.length;
    if (size > REQUEST_BYTES_MAX) return; // answered at the end
    chunks.push(chunk);
    if (isWhole(chunks)) serve('\0');
  });
  socket.on('error', (error) => log.debug({ error: error.message }, 'CNI connection'));
  socket.on('end', () => {
    ended = true;
    if (answered) socket.destroy();
    else serve('');
  });
  socket.resume();
}

/** Ended by a zero byte that does not belong to the variables. */
function isWhole(chunks: readonly Buffer[]): boolean {
  if (chunks.at(-1)?.at(-1) !== 0) return false;
  const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  const stdin = bytes.indexOf('\0\0') + 2;
  return stdin >= 2 && bytes.length > stdin;
}

interface Answer {
  readonly exit: 0 | 1;
  readonly stdout: string;
}

// The same call would be as large the next time: a lasting error.
function refused(text: string, log: Log): Answer {
  const msg = 'the network configuration with the environment is larger than 1 MiB';
  log.warn({ problem: msg }, 'CNI call refused');
  return { exit: 1, stdout: printCniError(versionIn(text), cniError('invalidConfig', msg)) };
}

async function answer(
  text: string,
  handle: CniHandler,
  log: Log,
  tell: (answer: Answer) => void,
): Promise<void> {
  const call = parseCall(text);
  const version = versionIn(call?.stdin ?? '');
  if (!call)
    return tell({ exit: 1, stdout: printCniError(version, cniError('decode', 'malformed call')) });
  const request = parseRequest(call.env, call.stdin, call.type);
  const started = performance.now();
  const outcome = request.ok ? await handled(handle, request.value) : request;
  const milliseconds = Math.round((performance.now() - started) * 100) / 100;
  tell(
    outcome.ok
      ? { exit: 0, stdout: outcome.value }
      : { exit: 1, stdout: printCniError(version, outcome.error) },
  );
  const about = {
    command: call.env['CNI_COMMAND'],
    container: call.env['CNI_CONTAINERID'],
    pod:
      request.ok && request.value.pod
        ? `${request.value.pod.namespace}/${request.value.pod.name}`
        : undefined,
    milliseconds,
  };
  if (outcome.ok) return log.info(about, 'CNI call');
  log.warn({ ...about, code: outcome.error.code, problem: outcome.error.msg }, 'CNI call failed');
}

async function handled(handle: CniHandler, request: CniRequest): Promise<Result<string, CniError>> {
  try {
    return await handle(request);
  } catch (cause) {
    return fail(cniError('internal', cause instanceof Error ? cause.message : String(cause)));
  }
}

/** Undefined: no call of the shim's. */
function parseCall(text: string): Call | undefined {
  const end = text.indexOf('\0\0');
  if (end < 0) return undefined;
  const [type = '', ...pairs] = text.slice(0, end).split('\0');
  const entries = pairs.map((pair) => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  return { type, env: Object.fromEntries(entries), stdin: text.slice(end + 2) };
}

// An error names the version of the configuration, even when the rest of it is bad.
const versionIn = (stdin: string): string =>
  /"cniVersion"\s*:\s*"(\d+\.\d+\.\d+)"/.exec(stdin)?.[1] ?? '0.2.0';
