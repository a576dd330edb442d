// A node joins a mesh of four: how long until its block is a route in the kernel of each of them. Ours
// from the write of its Node into a real etcd; BIRD, with the timers that Calico gives it, from the
// moment at which all five are told of their new neighbours (Calico needs confd for that besides).
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { affinityKey, resourceKey } from '../../../src/model/keys.ts';
import { cidr } from '../../../src/net/cidr.ts';
import { ensurePackages } from '../../cluster/packages.ts';
import { address, block, ManyHosts } from '../../interop/many-hosts.ts';
import { eventually, run, runAsync } from '../../lab/command.ts';
import { figure, median, quantile } from '../figures.ts';

const MEMBERS = [1, 2, 3, 4] as const;
const NEW = 5;
const ROUNDS = Number(process.env['ROUNDS'] ?? 40);
const BIRD_ROUNDS = 3;
const GOAL_MS = 300;

/** Hears of the new node's route in one namespace. */
class Watcher {
  private readonly child: ChildProcess;
  private text = '';
  private listener: () => void = () => {};

  constructor(netns: string) {
    this.child = spawn('ip', ['-n', netns, 'monitor', 'route'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.listener();
    });
  }

  /** Resolves when the route has come, or gone. */
  async route(present: boolean): Promise<void> {
    this.text = '';
    await new Promise<void>((resolve) => {
      this.listener = () => {
        const last = this.text
          .split('\n')
          .filter((line) => line.includes(block(NEW)) && line.includes('via'))
          .at(-1);
        if (last !== undefined && last.startsWith('Deleted') !== present) resolve();
      };
    });
  }

  close(): void {
    this.child.kill('SIGKILL');
  }
}

/** Milliseconds from `begin` until all members have the route. */
async function timed(watchers: readonly Watcher[], begin: () => Promise<void>): Promise<number> {
  const come = watchers.map((watcher) => watcher.route(true));
  const began = performance.now();
  await begin();
  await Promise.all(come);
  return performance.now() - began;
}

async function gone(watchers: readonly Watcher[], begin: () => Promise<void>): Promise<void> {
  const left = watchers.map((watcher) => watcher.route(false));
  await begin();
  await Promise.all(left);
}

async function withHosts<T>(work: (hosts: ManyHosts, watchers: readonly Watcher[]) => Promise<T>) {
  const hosts = new ManyHosts([...MEMBERS, NEW]);
  await hosts.open();
  const watchers = MEMBERS.map((n) => new Watcher(hosts.netns(n)));
  try {
    return await work(hosts, watchers);
  } finally {
    for (const watcher of watchers) watcher.close();
    await hosts.close();
  }
}

const ours = (): Promise<readonly number[]> =>
  withHosts(async (hosts, watchers) => {
    for (const n of [...MEMBERS, NEW]) hosts.startSpeaker(n);
    for (const n of MEMBERS) {
      hosts.putBlock(n);
      hosts.putNode(n);
    }
    const complete = () => MEMBERS.every((n) => hosts.ask(n, '/readiness') === 'ready');
    await eventually('the mesh is up', complete, 60_000);
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      hosts.putBlock(NEW);
      times.push(await timed(watchers, async () => hosts.putNode(NEW)));
      await gone(watchers, async () => {
        hosts.remove(resourceKey('nodes', `n${NEW}`));
        hosts.remove(affinityKey(`n${NEW}`, cidr(block(NEW))));
      });
    }
    return times;
  });

// As in Calico's templates, without what a namespace does not need.
const birdConfig = (n: number, neighbours: readonly number[]): string => `
router id ${address(n)};
protocol device { scan time 2; }
protocol direct { ipv4; interface "eth0"; }
protocol kernel { learn; persist; scan time 2; ipv4 { import none; export all; }; }
protocol static { ipv4; route ${block(n)} blackhole; }
template bgp mesh {
  local ${address(n)} as 64512;
  multihop;
  connect delay time 2; connect retry time 5; error wait time 5, 30;
  ipv4 {
    import all; next hop self; gateway recursive;
    export filter { if source = RTS_STATIC then accept; reject; };
  };
}
${neighbours
  .map(
    (other) =>
      `protocol bgp Mesh_${other} from mesh { neighbor ${address(other)} as 64512; ${
        n > other ? 'passive on;' : ''
      } }`,
  )
  .join('\n')}
`;

const birds = (): Promise<readonly number[]> =>
  withHosts(async (hosts, watchers) => {
    const folder = mkdtempSync(join(tmpdir(), 'ckt-join-'));
    const all = [...MEMBERS, NEW];
    const write = (n: number, neighbours: readonly number[]): void =>
      writeFileSync(join(folder, `${n}.conf`), birdConfig(n, neighbours));
    const configure = (n: number): Promise<string> =>
      runAsync(['birdc', '-s', join(folder, `${n}.ctl`), 'configure']);
    const members = (n: number, withNew: boolean): readonly number[] =>
      n === NEW ? (withNew ? MEMBERS : []) : all.filter((o) => o !== n && (withNew || o !== NEW));
    try {
      for (const n of all) {
        write(n, members(n, false));
        const files = ['-c', join(folder, `${n}.conf`), '-s', join(folder, `${n}.ctl`)];
        hosts.start(`bird${n}`, hosts.netns(n), ['bird', '-f', ...files]);
      }
      const complete = () =>
        MEMBERS.every((n) => {
          const text = run(['birdc', '-s', join(folder, `${n}.ctl`), 'show', 'protocols']);
          return text.match(/Established/g)?.length === MEMBERS.length - 1;
        });
      await eventually('the mesh of BIRDs is up', complete, 60_000);
      const times: number[] = [];
      const tell = async (withNew: boolean): Promise<void> => {
        for (const n of all) write(n, members(n, withNew));
        await Promise.all(all.map(configure));
      };
      for (let round = 0; round < BIRD_ROUNDS; round++) {
        times.push(await timed(watchers, () => tell(true)));
        await gone(watchers, () => tell(false));
      }
      return times;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

ensurePackages();
const mine = await ours();
console.log(`ours: ${mine.map((ms) => ms.toFixed(0)).join(' ')} ms`);
const theirs = await birds();
console.log(`bird: ${theirs.map((ms) => ms.toFixed(0)).join(' ')} ms`);
console.log(
  `bench join ours: median=${median(mine).toFixed(0)}ms p99=${quantile(mine, 0.99).toFixed(0)}ms of ${ROUNDS}; ` +
    `bird: median=${median(theirs).toFixed(0)}ms of ${BIRD_ROUNDS}`,
);
console.log(figure('join-median', median(mine), median(theirs), 'ms', 0.15));
console.log(`bench join-p99 ours=${quantile(mine, 0.99).toFixed(0)}ms goal<=${GOAL_MS}ms`);
