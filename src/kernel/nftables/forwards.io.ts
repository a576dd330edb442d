// The small table in the kernel. It belongs to this process: when that ends, however it ends, the
// kernel takes the table away.
import type { Family } from '../../net/ip.ts';
import type { Forwards } from '../tables.ts';
import { chainsOf, roomFor, writeForwards } from './forwards.ts';
import { Transactions } from './transactions.io.ts';

/** `netnsPath`: absent: this process's own namespace. */
export function openForwards(family: Family, netnsPath?: string): Forwards {
  const transactions = new Transactions('serve ahead', netnsPath);
  let isEmpty = true;
  return {
    set: (forwards) => {
      if (forwards.length === 0 && isEmpty) return;
      const chains = chainsOf(forwards);
      transactions.commitNow(roomFor(chains), (writer, sequence) =>
        writeForwards(writer, sequence, family, chains),
      );
      isEmpty = forwards.length === 0;
    },
    close: () => transactions.close(),
  };
}
