// The Docker engine that kind talks to: the machine's own where one answers, else one that we start in
// a network namespace of its own, so that its bridge, addresses and rules stay in there.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { command, tryCommand, until } from '../command.ts';
import { netnsOf, PREFIX } from '../netns/layout.ts';
import { removeCgroups } from '../netns/node.ts';
import { childrenOf, Processes } from '../netns/processes.ts';
import { ensurePackages } from '../packages.ts';
import { CACHE } from '../tools.ts';

const MACHINE = 'kind';
/** State of the cluster and of our own engine; `delete` removes it. */
export const RUN = join(CACHE, 'run', `${PREFIX}-kind`);
const SOCKET = join(RUN, 'docker.sock');
const START_SECONDS = 60;
const NO_ENGINE = 'no Docker engine answers, and only root can start one: start it, or use sudo';

export interface Engine {
  /** Whether we started it. */
  readonly isOurs: boolean;
  /** What a command begins with that shall reach the engine and its containers. */
  readonly prefix: readonly string[];
}

/** The engine of this machine, or undefined: then `startEngine` starts ours. */
async function machinesEngine(): Promise<Engine | undefined> {
  const answer = await tryCommand(['docker', 'version', '--format', '{{.Server.Version}}']);
  return answer.ok ? { isOurs: false, prefix: [] } : undefined;
}

const ours: Engine = {
  isOurs: true,
  prefix: [
    'nsenter',
    `--net=/run/netns/${netnsOf(MACHINE)}`,
    'env',
    `DOCKER_HOST=unix://${SOCKET}`,
    `HOME=${RUN}`,
  ],
};

/** What runs already: ours before the machine's. */
export const findEngine = async (): Promise<Engine | undefined> =>
  existsSync(SOCKET) ? ours : machinesEngine();

/** The machine's engine, else ours, started. */
export async function ensureEngine(): Promise<Engine> {
  const there = await findEngine();
  if (there) return there;
  if (process.getuid?.() !== 0) throw new Error(NO_ENGINE);
  ensurePackages(['docker.io', 'iptables', 'iproute2', 'runc']);
  mkdirSync(RUN, { recursive: true });
  await command(['ip', 'netns', 'add', netnsOf(MACHINE)]);
  await command(['ip', '-n', netnsOf(MACHINE), 'link', 'set', 'lo', 'up']);
  new Processes(RUN).start('dockerd', [...ours.prefix, ...daemon()]);
  await until('the Docker engine answers', START_SECONDS, () =>
    command(['docker', 'version'], undefined, ours.prefix),
  );
  return ours;
}

function daemon(): readonly string[] {
  const runtime = join(RUN, 'runc');
  writeFileSync(runtime, RUNC);
  chmodSync(runtime, 0o755);
  return [
    'dockerd',
    `--host=unix://${SOCKET}`,
    `--data-root=${join(RUN, 'data')}`,
    `--exec-root=${join(RUN, 'exec')}`,
    `--pidfile=${join(RUN, 'docker.pid')}`,
    `--cgroup-parent=/${netnsOf(MACHINE)}`,
    '--exec-opt=native.cgroupdriver=cgroupfs',
    `--add-runtime=within-bounds=${runtime}`,
    '--default-runtime=within-bounds',
  ];
}

// A privileged container asks for every capability there is, and runc refuses where this machine's own
// bounding set lacks one (containers and small virtual machines often lack CAP_SYS_RESOURCE): what is
// not to be had is not asked for.
const RUNC = `#!/bin/sh
bundle=. process= before=
for argument; do
  case $before in --bundle|-b) bundle=$argument;; --process|-p) process=$argument;; esac
  case $argument in --bundle=*) bundle=\${argument#*=};; --process=*) process=\${argument#*=};; esac
  before=$argument
done
bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
if [ $((0x$bounding >> 24 & 1)) = 0 ]; then
  for file in "$bundle/config.json" "$process"; do
    [ -f "$file" ] && sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$file"
  done
fi
exec runc "$@"
`;

/** Ends our engine, if it was ours, and removes all of its state. */
export async function removeEngine(): Promise<void> {
  await new Processes(RUN).endAll();
  await endShims();
  await tryCommand(['ip', 'netns', 'delete', netnsOf(MACHINE)]);
  await unmountBelow(RUN);
  await removeCgroups((name) => name === netnsOf(MACHINE));
  rmSync(RUN, { recursive: true, force: true });
}

/** What holds the containers of an engine that was killed; a container ends with it. */
async function endShims(): Promise<void> {
  const shims = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isShim(pid));
  const held = shims.flatMap((pid) => childrenOf(Number(pid)));
  for (const pid of [...held, ...shims.map(Number)]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone meanwhile
    }
  }
  await until('the containers have ended', 10, async () => !shims.some(isShim));
}

function isShim(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0${join(RUN, 'exec')}/`);
  } catch {
    return false;
  }
}

/** Mounts of containers that a killed engine left; deepest first. */
async function unmountBelow(folder: string): Promise<void> {
  const points = (await command(['findmnt', '-rno', 'TARGET'])).trim().split('\n');
  for (const point of points.filter((p) => p.startsWith(`${folder}/`)).reverse())
    await tryCommand(['umount', '-l', point]);
}
