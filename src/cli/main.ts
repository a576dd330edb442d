#!/usr/bin/env node
// calico-kit: what is in the datastore, in calicoctl's words. `ETCD_ENDPOINTS` names the datastore.
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../base/clock.io.ts';
import { messageOf } from '../base/op-error.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import { ROOT } from '../model/keys.ts';
import { parseIp } from '../net/ip.ts';
import { etcdEndpoints } from './environment.ts';
import { check } from './ipam/check.ts';
import { showAddress, showBorrowed, showConfiguration, showUsage } from './ipam/show.ts';
import { readWorld, type World } from './ipam/world.ts';
import { type Output, textOf } from './output.ts';
import { VERSION, version } from './version.ts';

const read = async (store: Store): Promise<World> =>
  readWorld((await store.list(ROOT)).items, systemClock.date());

/** Runs a command on the datastore and prints what it answers. */
async function run(json: boolean, command: (store: Store) => Promise<Output>): Promise<void> {
  const endpoints = etcdEndpoints(process.env);
  if (!endpoints.ok) throw new Error(endpoints.error);
  const store = openEtcdStore({ endpoints: endpoints.value });
  try {
    const output = await command(store);
    console.log(textOf(output, json));
    if (output.failed) process.exitCode = 1;
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

program.parseAsync().catch((cause) => {
  console.error(`Error: ${messageOf(cause)}`);
  process.exitCode = 1;
});
