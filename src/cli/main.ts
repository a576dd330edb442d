#!/usr/bin/env node
// calico-kit: what is in the datastore, in calicoctl's words. `ETCD_ENDPOINTS` names the datastore.
import { randomUUID } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import { systemClock } from '../base/clock.io.ts';
import { parseJson } from '../base/json.ts';
import { messageOf } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
import type { Store } from '../datastore/store.ts';
import { openObjects } from '../kubernetes/objects.io.ts';
import { resourcePrefix } from '../model/keys.ts';
import { commit } from './commit.io.ts';
import { addConnectivityCommands } from './connectivity/commands.ts';
import { addEtcdCommands } from './etcd/commands.ts';
import { openMembers, openStore } from './etcd.io.ts';
import { addIpamCommands, read } from './ipam/commands.ts';
import { addNodeCommands } from './node/commands.ts';
import { clusterStatus } from './nodes/status.ts';
import { type Output, textOf } from './output.ts';
import { AGENT_URL, guardNotes } from './policy/agent.io.ts';
import { addPolicyCommands } from './policy/commands.ts';
import { addSeenCommands } from './policy/seen.ts';
import { addServiceCommands } from './services/commands.ts';
import { readServiceTables, releaseNode } from './services/kernel.io.ts';
import { servedAddresses } from './services/listing.ts';
import { checkSettings } from './settings/check.io.ts';
import { addSettingsCommands } from './settings/commands.ts';
import { unknownCluster, version } from './version.ts';

function print(output: Output, json: boolean): void {
  console.log(textOf(output, json));
  if (output.failed) process.exitCode = 1;
}

/** Runs a command on the datastore and prints what it answers. */
async function run(json: boolean, command: (store: Store) => Promise<Output>): Promise<void> {
  print(await onStore(command), json);
}

async function onStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = openStore(program.opts<{ config?: string }>().config);
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

const isJson = (format: string | undefined): boolean => {
  if (format === undefined || format === 'ps') return false;
  if (format === 'json') return true;
  throw new Error(`-o ${format}: use json`);
};

const program = new Command('calico-kit')
  .description('Calico networking: look and mend')
  .option('-c, --config <file>', "calicoctl's configuration file; else ETCD_ENDPOINTS and the like")
  .option('--allow-version-mismatch', 'accepted; the layout of the datastore is the same');

program
  .command('version')
  .description('of this program, with its commit, and of the cluster')
  .option('--client', 'only of this program')
  .option('-o, --output <format>', 'json')
  .action(async ({ client, output }: { client?: true; output?: string }) => {
    if (client) return print(version(commit(), undefined), isJson(output));
    try {
      const world = await onStore((store) => read(store, systemClock));
      print(version(commit(), world), isJson(output));
    } catch (cause) {
      print(unknownCluster(commit(), messageOf(cause)), isJson(output));
    }
  });

program
  .command('status')
  .description('every node with its address, tunnel addresses, and the MTU of host and pods')
  .option('-o, --output <format>', 'json')
  .action(({ output }: { output?: string }) =>
    run(isJson(output), async (store) =>
      clusterStatus((await store.list(resourcePrefix('nodes'))).items),
    ),
  );

addIpamCommands(program, {
  run: (format, command) => run(isJson(format), command),
  readFile: (path) => readFileSync(path, 'utf8'),
  writeFile: (path, text) => writeFileSync(path, text),
  clock: systemClock,
  pause: (milliseconds) => pause(milliseconds, new AbortController().signal),
  uuid: randomUUID,
});

addPolicyCommands(program, {
  run: (format, command) => run(isJson(format), command),
  readFile: (path) => readFileSync(path, 'utf8'),
  // Away from a node there are no rules to read.
  served: () => readServiceTables().then(servedAddresses, () => []),
  notes: () => guardNotes(AGENT_URL),
});

addSeenCommands(program, (output, format) => print(output, isJson(format)));

addConnectivityCommands(program, {
  openObjects,
  print: (output, format) => print(output, isJson(format)),
  tell: (words) => console.error(words),
  suffix: () => randomUUID().slice(0, 5),
  orders: () => process.env['CALLS'],
  write: (text) => console.log(text),
});

addSettingsCommands(program, {
  readFile: (path) => readFileSync(path, 'utf8'),
  print: (text) => console.log(text),
  tell: (text) => console.error(text),
  live: () =>
    onStore(async (store) =>
      (await store.list('/calico/resources/')).items.map(({ value }) => parseJson(value)),
    ),
  failed: () => {
    process.exitCode = 1;
  },
  check: () => checkSettings(process.env),
  show: (output, format) => print(output, isJson(format)),
});

// A program of its own, which needs the constructs: images have none.
const PLAN = join(import.meta.dirname, '../deploy/plan/main.ts');
if (existsSync(PLAN))
  program.command('plan', 'what other values would change on a cluster', { executableFile: PLAN });

addEtcdCommands(program, {
  openObjects,
  openMembers: (endpoints) => openMembers(program.opts<{ config?: string }>().config, endpoints),
  print: (output, format) => print(output, isJson(format)),
  termination: () => {
    const stop = new AbortController();
    process.once('SIGTERM', () => stop.abort());
    return stop.signal;
  },
  now: () => Date.now(),
  write: (text) => console.log(text),
});

addServiceCommands(program, {
  print: (output, format) => print(output, isJson(format)),
  readTables: readServiceTables,
  release: releaseNode,
});

addNodeCommands(program, {
  print: (output, format) => print(output, isJson(format)),
  now: () => systemClock.date(),
  write: async (pieces, file) =>
    pipeline(pieces, file === undefined ? process.stdout : createWriteStream(file)),
});

program.parseAsync().catch((cause) => {
  console.error(`Error: ${messageOf(cause)}`);
  process.exitCode = 1;
});
