// The commands below `ipam`, with calicoctl's flags and some more. Every command that changes
// something has --dry-run; none needs the datastore locked.
import type { Command } from 'commander';
import type { Clock } from '../../base/clock.ts';
import type { Store } from '../../datastore/store.ts';
import { ROOT } from '../../model/keys.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { type Output, textOf } from '../output.ts';
import { VERSION } from '../version.ts';
import { check, type Report } from './check.ts';
import { type Changes, configure, split } from './configure.ts';
import { lastingIdle } from './idle-handles.ts';
import { collect, lastingLeaks, parseReport, releaseAddress, reportProblem } from './release.ts';
import { showAddress, showBorrowed, showConfiguration, showUsage } from './show.ts';
import { readWorld, type World } from './world.ts';

export interface Running {
  /** Runs a command on the datastore and prints what it answers; `format` is its -o. */
  run(format: string | undefined, command: (store: Store) => Promise<Output>): Promise<void>;
  readFile(path: string): string;
  writeFile(path: string, text: string): void;
  readonly clock: Clock;
  pause(milliseconds: number): Promise<void>;
  uuid(): string;
}

/** Adds the group `ipam`. */
export function addIpamCommands(program: Command, running: Running): void {
  const ipam = program.command('ipam').description('address management');
  addShow(ipam, running);
  addCheck(ipam, running);
  addRelease(ipam, running);
  addGc(ipam, running);
  addConfigure(ipam, running);
  addSplit(ipam, running);
}

/** Everything that the commands look at, as it is stored now. */
export const read = async (store: Store, clock: Clock): Promise<World> =>
  readWorld((await store.list(ROOT)).items, clock.date());

interface Common {
  readonly output?: string;
  readonly dryRun?: true;
}

interface ShowOptions extends Common {
  readonly ip?: string;
  readonly showBlocks?: true;
  readonly showBorrowed?: true;
  readonly showConfiguration?: true;
}

function addShow(ipam: Command, { run, clock }: Running): void {
  ipam
    .command('show')
    .description('how full pools and blocks are; one address; borrowed addresses; configuration')
    .option('--ip <address>', 'who has this address')
    .option('--show-blocks', 'blocks too')
    .option('--show-borrowed', "addresses in other nodes' blocks")
    .option('--show-configuration', 'the configuration')
    .option('-o, --output <format>', 'json')
    .action((options: ShowOptions) =>
      run(options.output, async (store) => {
        const world = await read(store, clock);
        if (options.ip !== undefined) return showAddress(world, address(options.ip));
        if (options.showBorrowed) return showBorrowed(world);
        if (options.showConfiguration) return showConfiguration(world);
        return showUsage(world, { blocks: options.showBlocks ?? false });
      }),
    );
}

interface CheckOptions extends Common {
  readonly showAllIps?: true;
  readonly showProblemIps?: true;
}

function addCheck(ipam: Command, { run, clock, writeFile }: Running): void {
  ipam
    .command('check')
    .description('whether what is stored is consistent; ends with 1 when it is not')
    .option('--show-all-ips', 'every address that is looked at')
    .option('--show-problem-ips', 'every address that is wrong')
    .option('--kubeconfig <file>', 'accepted; the datastore says enough')
    .option('-o, --output <file>', 'json: as JSON; else a file for a report as JSON')
    .action((flags: CheckOptions) => {
      const { output: file, ...options } = flags;
      const isJson = file === 'json';
      return run(isJson ? file : undefined, async (store) => {
        const output = check(await read(store, clock), VERSION, options);
        if (file !== undefined && !isJson) writeFile(file, `${textOf(output, true)}\n`);
        return output;
      });
    });
}

interface ReleaseOptions extends Common {
  readonly ip?: string;
  readonly fromReport?: readonly string[];
}

function addRelease(ipam: Command, { run, clock, readFile }: Running): void {
  ipam
    .command('release')
    .description('frees one address, or what every report of `ipam check -o FILE` calls leaked')
    .option('--ip <address>', 'this address')
    .option('--from-report <file...>', 'one or more reports')
    .option('--force', 'accepted; no lock is needed')
    .option('--dry-run', 'only says what would be freed')
    .option('-o, --output <format>', 'json')
    .action((options: ReleaseOptions) =>
      run(options.output, async (store) => {
        const world = await read(store, clock);
        const parts = { store, clock, dryRun: options.dryRun ?? false };
        if (options.ip !== undefined) return releaseAddress(parts, world, address(options.ip));
        if (!options.fromReport)
          throw new Error('name an address (--ip) or a file (--from-report)');
        const reports = options.fromReport.map((file): Report => {
          const report = parseReport(readFile(file));
          const problem = report.ok ? reportProblem(world, report.value, VERSION) : report.error;
          if (!report.ok || problem) throw new Error(`${file}: ${problem}`);
          return report.value;
        });
        const leaked = reports.map((report) => report.leaked);
        const handles = lastingIdle(
          world,
          reports.map((report) => report.leakedHandles),
        );
        return collect(parts, lastingLeaks(world, leaked), { world, handles });
      }),
    );
}

function addGc(ipam: Command, { run, clock, pause }: Running): void {
  ipam
    .command('gc')
    .description('frees addresses and handles that nobody uses at two looks; no lock is needed')
    .option('--dry-run', 'only says what would be freed')
    .option('--wait <seconds>', 'between the looks', '10')
    .option('-o, --output <format>', 'json')
    .action((options: Common & { readonly wait: string }) =>
      run(options.output, async (store) => {
        const { leaked, leakedHandles } = check(await read(store, clock), VERSION).data as Report;
        const seconds = number('--wait', options.wait);
        if (leaked.length > 0 || leakedHandles?.length) await pause(seconds * 1000);
        const world = await read(store, clock);
        const handles = lastingIdle(world, [leakedHandles]);
        const parts = { store, clock, dryRun: options.dryRun ?? false };
        return collect(parts, lastingLeaks(world, [leaked]), { world, handles });
      }),
    );
}

interface ConfigureOptions extends Common {
  readonly strictaffinity?: string;
  readonly maxBlocksPerHost?: string;
  readonly ipCooldownSeconds?: string;
  readonly kubevirtIpPersistence?: string;
}

function addConfigure(ipam: Command, { run, clock }: Running): void {
  ipam
    .command('configure')
    .description('sets the configuration of address management')
    .option('--strictaffinity <bool>', "addresses only from a node's own blocks")
    .option('--max-blocks-per-host <number>', '0: 20; needs strict affinity')
    .option('--ip-cooldown-seconds <number>', '0 to 1200')
    .option('--kubevirt-ip-persistence <mode>', 'Enabled or Disabled')
    .option('--dry-run', 'only says what would be set')
    .option('-o, --output <format>', 'json')
    .action((options: ConfigureOptions) =>
      run(options.output, async (store) =>
        configure(store, await read(store, clock), changesOf(options), options.dryRun),
      ),
    );
}

function changesOf(options: ConfigureOptions): Changes {
  const { strictaffinity, maxBlocksPerHost, ipCooldownSeconds, kubevirtIpPersistence } = options;
  if (strictaffinity !== undefined && !/^(true|false)$/.test(strictaffinity))
    throw new Error(`--strictaffinity '${strictaffinity}' is neither true nor false`);
  if (kubevirtIpPersistence !== undefined && !/^(Enabled|Disabled)$/.test(kubevirtIpPersistence))
    throw new Error(`--kubevirt-ip-persistence: use Enabled or Disabled`);
  return {
    ...(strictaffinity && { strict_affinity: strictaffinity === 'true' }),
    ...(maxBlocksPerHost && {
      maxBlocksPerHost: number('--max-blocks-per-host', maxBlocksPerHost),
    }),
    ...(ipCooldownSeconds && {
      ipCooldownSeconds: number('--ip-cooldown-seconds', ipCooldownSeconds),
    }),
    ...(kubevirtIpPersistence && { kubeVirtVMAddressPersistence: kubevirtIpPersistence }),
  };
}

interface SplitOptions extends Common {
  readonly cidr?: string;
  readonly name?: string;
}

function addSplit(ipam: Command, { run, clock, uuid }: Running): void {
  const birth = () => ({
    uid: uuid(),
    creationTimestamp: clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z'),
  });
  ipam
    .command('split <number>')
    .description('splits a pool into equal parts, in one transaction')
    .option('--cidr <cidr>', 'the pool with this CIDR')
    .option('--name <name>', 'the pool of this name')
    .option('--dry-run', 'only says what the parts would be')
    .option('-o, --output <format>', 'json')
    .action((count: string, options: SplitOptions) =>
      run(options.output, async (store) =>
        split(store, await read(store, clock), number('split', count), options, birth),
      ),
    );
}

function address(text: string): Ip {
  const ip = parseIp(text);
  if (!ip) throw new Error(`'${text}' is no IP address`);
  return ip;
}

function number(flag: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${flag} '${text}' is no whole number`);
  return Number(text);
}
