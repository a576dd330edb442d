// The addresses that pods speak to, on the real kernel.
import assert from 'node:assert/strict';
import { promises as fs } from 'node:fs';
import { before, test } from 'node:test';
import { eventually, run } from '../../test/lab/command.ts';
import { inFreshNetns } from '../../test/lab/netns.ts';
import { openLog } from '../base/log.io.ts';
import { openKernelAt } from '../kernel/netns.io.ts';
import { ip } from '../net/ip.ts';
import { PeeringAddresses } from './peering-addresses.io.ts';

before(() => fs.readFile('/proc/self/comm')); // libuv's pool starts in the home namespace

const [OLD, NEW, V6] = [ip('169.254.0.179'), ip('169.254.0.180'), ip('fd12::1')];
const POD = '192.168.1.5 dev cali1 scope link';

test('peering addresses: set, changed, repaired, adopted, swept; the pod’s route stays', () =>
  inFreshNetns(`ckt-pa-${process.pid}`, 1, async ([netns], [path]) => {
    const ipIn = (words: string): string => run(['ip', '-n', netns!, ...words.split(' ')]);
    for (const link of ['cali1', 'cali2', 'eth0']) {
      ipIn(`link add ${link} type veth peer name p${link}`);
      ipIn(`link set ${link} up`);
    }
    ipIn(`route add ${POD}`);
    ipIn('addr add 10.9.9.9/32 dev eth0 scope link');
    const shown = (): string =>
      ipIn('-o addr show')
        .split('\n')
        .flatMap((line) => /(cali\d|eth0)\s+inet6? (\S+) /.exec(line)?.slice(1).join(' ') ?? [])
        .filter((words) => !words.includes('fe80'))
        .join(', ');
    const kernel = openKernelAt(path!);
    const open = () => new PeeringAddresses(kernel, openLog('test', 'fatal'));
    const others = 'eth0 10.9.9.9/32';
    let addresses = open();
    try {
      addresses.set(new Map([['cali1', [OLD, V6]]]));
      assert.equal(shown(), `cali1 ${OLD}/32, cali1 ${V6}/128, ${others}`);
      addresses.set(new Map([['cali1', [NEW]]]));
      assert.equal(shown(), `cali1 ${NEW}/32, ${others}`);
      ipIn(`addr del ${NEW}/32 dev cali1`);
      await eventually('it comes back', () => shown().includes(NEW));
      ipIn(`route replace ${POD}`); // The kernel has dropped it.
      addresses.close();

      addresses = open();
      addresses.set(new Map([['cali2', [NEW]]]));
      assert.equal(shown(), `cali1 ${NEW}/32, cali2 ${NEW}/32, ${others}`, 'of the run before');
      addresses.sweep();
      assert.equal(shown(), `cali2 ${NEW}/32, ${others}`);
      assert.match(ipIn('route'), new RegExp(POD));

      addresses.set(new Map([['cali3', [NEW]]]));
      assert.equal(shown(), others);
      ipIn('link add cali3 type veth peer name pcali3');
      await eventually('a link that comes later', () => shown().includes(`cali3 ${NEW}/32`));
    } finally {
      addresses.close();
      kernel.close();
    }
  }));
