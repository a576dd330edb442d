#!/usr/bin/env node
// calico-kit: what is in the datastore, in calicoctl's words. `ETCD_ENDPOINTS` names the datastore.
import { readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../base/clock.io.ts';
import { messageOf } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import { ROOT } from '../model/keys.ts';
import { parseIp } from '../net/ip.ts';
import { etcdEndpoints } from './environment.ts';
import { check, type Report } from './ipam/check.ts';
import { type Changes, configure, split } from './ipam/configure.ts';
import { collect, lastingLeaks, releaseAddress, reportProblem } from './ipam/release.ts';
import { showAddress, showBorrowed, showConfiguration, showUsage } from './ipam/show.ts';
import { readWorld, type World } from './ipam/world.ts';
import { addNodeCommands } from './node/commands.ts';
import { type Output, textOf } from './output.ts';
import { addPolicyCommands } from './policy/commands.ts';
import { VERSION, version } from './version.ts';

const read = async (store: Store): Promise<World> =>
  readWorld((await store.list(ROOT)).items, systemClock.date());

function print(output: Output, json: boolean): void {
  console.log(textOf(output, json));
  if (output.failed) process.exitCode = 1;
}

/** Runs a command on the datastore and prints what it answers. */
async function run(json: boolean, command: (store: Store) => Promise<Output>): Promise<void> {
  const endpoints = etcdEndpoints(process.env);
  if (!endpoints.ok) throw new Error(endpoints.error);
  const store = openEtcdStore({ endpoints: endpoints.value });
  try {
    const output = await command(store);
    print(output, json);
  } finally {
    store.close();
  }
}

function address(text: string) {
  const ip = parseIp(text);
  if (!ip) throw new Error(`'${text}' is no IP address`);
  return ip;
}

const isJson = (format: string | undefined): boolean => {
  if (format === undefined || format === 'ps') return false;
  if (format === 'json') return true;
  throw new Error(`-o ${format}: use json`);
};

const program = new Command('calico-kit').description('Calico networking: look and mend');

program
  .command('version')
  .option('-o, --output <format>', 'json')
  .action(({ output }: { output?: string }) =>
    run(isJson(output), async (store) => version(await read(store))),
  );

const ipam = program.command('ipam').description('address management');

interface ShowOptions {
  readonly ip?: string;
  readonly showBlocks?: true;
  readonly showBorrowed?: true;
  readonly showConfiguration?: true;
  readonly output?: string;
}

ipam
  .command('show')
  .description('how full pools and blocks are; one address; borrowed addresses; the configuration')
  .option('--ip <address>', 'who has this address')
  .option('--show-blocks', 'blocks too')
  .option('--show-borrowed', "addresses in other nodes' blocks")
  .option('--show-configuration', 'the configuration')
  .option('-o, --output <format>', 'json')
  .action((options: ShowOptions) =>
    run(isJson(options.output), async (store) => {
      const world = await read(store);
      if (options.ip !== undefined) return showAddress(world, address(options.ip));
      if (options.showBorrowed) return showBorrowed(world);
      if (options.showConfiguration) return showConfiguration(world);
      return showUsage(world, { blocks: options.showBlocks ?? false });
    }),
  );

interface CheckFlags {
  readonly showAllIps?: true;
  readonly showProblemIps?: true;
  readonly output?: string;
}

ipam
  .command('check')
  .description('whether what is stored is consistent; ends with 1 when it is not')
  .option('--show-all-ips', 'every address that is looked at')
  .option('--show-problem-ips', 'every address that is wrong')
  .option('-o, --output <file>', 'json: as JSON; else a file for a report as JSON')
  .action((flags: CheckFlags) =>
    run(flags.output === 'json', async (store) => {
      const output = check(await read(store), VERSION, flags);
      if (flags.output && flags.output !== 'json')
        writeFileSync(flags.output, `${textOf(output, true)}\n`);
      return output;
    }),
  );

ipam
  .command('release')
  .description('frees one address, or what every report of `ipam check -o FILE` calls leaked')
  .option('--ip <address>', 'this address')
  .option('--from-report <file...>', 'reports, the newest last')
  .option('--force', 'accepted; no lock is needed')
  .option('-o, --output <format>', 'json')
  .action((options: { ip?: string; fromReport?: string[]; output?: string }) =>
    run(isJson(options.output), async (store) => {
      const world = await read(store);
      const parts = { store, clock: systemClock };
      if (options.ip !== undefined) return releaseAddress(parts, world, address(options.ip));
      if (!options.fromReport) throw new Error('name an address (--ip) or a file (--from-report)');
      const reports = options.fromReport.map(
        (file) => JSON.parse(readFileSync(file, 'utf8')) as Report,
      );
      for (const report of reports) {
        const problem = reportProblem(world, report, VERSION);
        if (problem) throw new Error(problem);
      }
      const leaks = lastingLeaks(
        world,
        reports.map(({ leaked }) => leaked),
      );
      return collect(parts, leaks, { dryRun: false });
    }),
  );

ipam
  .command('gc')
  .description('frees addresses that nobody uses at two looks; no lock is needed')
  .option('--dry-run', 'only says what would be freed')
  .option('--wait <seconds>', 'between the looks', '10')
  .option('-o, --output <format>', 'json')
  .action((options: { dryRun?: true; wait: string; output?: string }) =>
    run(isJson(options.output), async (store) => {
      const { leaked } = check(await read(store), VERSION).data as Report;
      if (leaked.length > 0)
        await pause(number('--wait', options.wait) * 1000, new AbortController().signal);
      const leaks = lastingLeaks(await read(store), [leaked]);
      return collect({ store, clock: systemClock }, leaks, { dryRun: options.dryRun ?? false });
    }),
  );

interface ConfigureOptions {
  readonly strictaffinity?: string;
  readonly maxBlocksPerHost?: string;
  readonly ipCooldownSeconds?: string;
  readonly kubevirtIpPersistence?: string;
  readonly output?: string;
}

ipam
  .command('configure')
  .description('sets the configuration of address management')
  .option('--strictaffinity <bool>', "addresses only from a node's own blocks")
  .option('--max-blocks-per-host <number>', '0: 20; needs strict affinity')
  .option('--ip-cooldown-seconds <number>', '0 to 1200')
  .option('--kubevirt-ip-persistence <mode>', 'Enabled or Disabled')
  .option('-o, --output <format>', 'json')
  .action((options: ConfigureOptions) =>
    run(isJson(options.output), async (store) =>
      configure(store, await read(store), changesOf(options)),
    ),
  );

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

function number(flag: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${flag} '${text}' is no whole number`);
  return Number(text);
}

ipam
  .command('split <number>')
  .description('splits a pool into equal parts, in one transaction')
  .option('--cidr <cidr>', 'the pool with this CIDR')
  .option('--name <name>', 'the pool of this name')
  .option('-o, --output <format>', 'json')
  .action((count: string, options: { cidr?: string; name?: string; output?: string }) =>
    run(isJson(options.output), async (store) =>
      split(store, await read(store), number('split', count), options),
    ),
  );

addPolicyCommands(program, {
  run: (format, command) => run(isJson(format), command),
  readFile: (path) => readFileSync(path, 'utf8'),
});

addNodeCommands(program, {
  print: (output, format) => print(output, isJson(format)),
  now: () => systemClock.date(),
});

program.parseAsync().catch((cause) => {
  console.error(`Error: ${messageOf(cause)}`);
  process.exitCode = 1;
});
