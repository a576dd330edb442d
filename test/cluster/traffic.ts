// A hundred packets a second between two pods while something else goes on, and how many were lost.
import type { Cluster } from './cluster.ts';
import { until } from './command.ts';
import { inPod } from './demonstration.ts';

export interface Traffic {
  /** Resolves when so many more have been answered. */
  goesOn(packets: number): Promise<void>;
  /** Ends it; answers what the client counted. */
  stop(): Promise<{ readonly sent: number; readonly lost: number }>;
}

const FILE = '/tmp/traffic';
const INTERVAL_SECONDS = 0.01;

/** From the demonstration's client; runs when it returns. */
export async function startTraffic(cluster: Cluster, to: string): Promise<Traffic> {
  const client = async (command: string): Promise<string> =>
    (await inPod(cluster, 'client', ['sh', '-c', command])).output.trim();
  const pid = await client(`ping -i ${INTERVAL_SECONDS} ${to} > ${FILE} 2>&1 & echo $!`);
  const answered = async (): Promise<number> =>
    Number(await client(`grep -c 'bytes from' ${FILE} || true`));
  await until('packets flow', 20, async () => (await answered()) > 0);
  return {
    async goesOn(packets) {
      const soFar = await answered();
      await until('packets flow on', 20, async () => (await answered()) >= soFar + packets);
    },
    async stop() {
      await client(`kill -INT ${pid}`);
      const said = await until('the summary', 10, async () => {
        const all = await client(`cat ${FILE}`);
        return / packet loss/.test(all) ? all : '';
      });
      const numbers = new Set([...said.matchAll(/ seq=(\d+) /g)].map((match) => Number(match[1])));
      const last = Math.max(...numbers);
      const sent = Number(/(\d+) packets transmitted/.exec(said)?.[1] ?? 0);
      // What was still under way when it ended is not lost, unless it is more than a second's worth.
      const late = sent - 1 - last;
      const gaps = last + 1 - numbers.size;
      return { sent, lost: gaps + (late > 1 / INTERVAL_SECONDS ? late : 0) };
    },
  };
}
