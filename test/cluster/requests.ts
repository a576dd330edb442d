// Asks a page over and over, each time by a connection of its own: `node requests.ts ADDRESS PORT
// TIMES FOLDER`, in the network namespace in which it runs. It makes `FOLDER/running` after the first, which
// has to be answered, ends when `FOLDER/stop` is there and it has asked often enough, and prints what it counted.
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

export interface Counted {
  readonly asked: number;
  /** What went wrong, each time. */
  readonly failures: readonly string[];
  /** Answers that took longer than a lost packet's first repetition. */
  readonly late: number;
}

const PATIENCE_MILLISECONDS = 5000;
const LATE_MILLISECONDS = 900;
const AT_ONCE = 2;
/** Between two requests: what is tested beside them wants some of the machine, too. */
const PAUSE_MILLISECONDS = 5;

/** Undefined: the whole page came. */
const failure = (host: string, port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    let heard = '';
    const socket = connect({ host, port }, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    // Connection tracking knows the connection by its port.
    socket.setTimeout(PATIENCE_MILLISECONDS, () =>
      socket.destroy(new Error(`no answer to port ${socket.localPort}`)),
    );
    socket.on('data', (data) => {
      heard += String(data);
    });
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve(/ 200 OK[\s\S]*hello/.test(heard) ? undefined : `'${heard}'`));
  });

async function ask(host: string, port: number, times: number, folder: string): Promise<Counted> {
  const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  const first = await failure(host, port);
  if (first) throw new Error(first);
  writeFileSync(join(folder, 'running'), '');
  const stop = join(folder, 'stop');
  const failures: string[] = [];
  let [asked, late] = [0, 0];
  const one = async (): Promise<void> => {
    while (asked < times || !existsSync(stop)) {
      asked++;
      const at = performance.now();
      const problem = await failure(host, port);
      if (problem) failures.push(`${new Date().toISOString()} ${problem}`);
      if (performance.now() - at > LATE_MILLISECONDS) late++;
      await pause();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return { asked, failures, late };
}

if (import.meta.main) {
  const [host = '', port, times, folder = ''] = process.argv.slice(2);
  console.log(JSON.stringify(await ask(host, Number(port), Number(times), folder)));
}
