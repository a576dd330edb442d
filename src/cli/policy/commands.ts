// The commands that ask policy: `trace`, `reach`.
import type { Command } from 'commander';
import type { Result } from '../../base/result.ts';
import type { Store } from '../../datastore/store.ts';
import { RESOURCES } from '../../model/keys.ts';
import { parseIp } from '../../net/ip.ts';
import type { Models, Ports } from '../../policy/explain/matrix.ts';
import { modelOf } from '../../policy/explain/model.ts';
import { parsePort } from '../../policy/explain/ports.ts';
import { stagedChange, withStaged } from '../../policy/read/staged.ts';
import type { Output } from '../output.ts';
import type { ServedAddress } from '../services/listing.ts';
import { servedAt, traceService } from './service-trace.ts';
import { reachCommand, traceCommand } from './trace.ts';
import { parseWhatIf } from './what-if.ts';

export interface Running {
  /** Runs a command on the datastore and prints what it answers; `format` is its -o. */
  run(format: string | undefined, command: (store: Store) => Promise<Output>): Promise<void>;
  readFile(path: string): string;
  /** What this node's rules do for services; nothing where they cannot be read. */
  served(): Promise<readonly ServedAddress[]>;
  /** What there is to tell of this node beside policy. */
  notes(): Promise<readonly string[]>;
}

interface Options {
  readonly port: string;
  readonly with?: readonly string[];
  readonly namespace?: readonly string[];
  readonly expect?: string;
  readonly output?: string;
}

/** Adds `trace` and `reach`. */
export function addPolicyCommands(
  program: Command,
  { run, readFile, served, notes }: Running,
): void {
  const about = (name: string, words: string): Command =>
    program
      .command(name)
      .description(words)
      .option('--port <port>', '80, 53/udp, icmp/8', '80')
      .option('--with <file...>', 'as if these resources were stored too')
      .option('-o, --output <format>', 'json');
  about(
    'trace <source> <destination>',
    'what policy says of a connection, and which rule it is; on a node also to a service’s address',
  )
    .option('--expect <verdict>', 'allow or deny: ends with 1 when it is the other')
    .action((source: string, destination: string, options: Options) =>
      run(options.output, async (store) => {
        const { expect } = options;
        if (expect !== undefined && expect !== 'allow' && expect !== 'deny')
          throw new Error(`--expect '${expect}': use allow or deny`);
        const models = await modelsOf(store, options, readFile);
        const ports = portsOf(options);
        const address = parseIp(destination);
        const service = address && servedAt(await served(), models, address, ports);
        const output = good(
          service
            ? traceService(models, source, service, ports)
            : traceCommand(models, source, destination, ports),
        );
        const { verdict } = output.data as { readonly verdict: string };
        const lines = [...output.lines, ...(await notes()).map((note) => `note: ${note}`)];
        return { ...output, lines, failed: expect !== undefined && expect !== verdict };
      }),
    );
  about('reach', 'which namespaces may talk to which: the matrix over all pairs of pods')
    .option('--namespace <name...>', 'only these')
    .action((options: Options) =>
      run(options.output, async (store) =>
        good(
          reachCommand(
            await modelsOf(store, options, readFile),
            portsOf(options),
            options.namespace ?? [],
          ),
        ),
      ),
    );
}

async function modelsOf(
  store: Store,
  { with: files = [] }: Options,
  readFile: Running['readFile'],
): Promise<Models> {
  const all = new Map((await store.list(RESOURCES)).items.map(({ key, value }) => [key, value]));
  const givenBy = new Map<string, string>();
  for (const file of files) {
    const stored = parseWhatIf(readFile(file));
    if (!stored.ok) throw new Error(`${file}: ${stored.error}`);
    for (const { key, value } of stored.value) {
      all.set(key, value);
      givenBy.set(stagedChange(key, value)?.key ?? key, file);
    }
  }
  const withAll = withStaged(all);
  const enforced = modelOf(all);
  const staged = withAll && modelOf(withAll);
  for (const [key, file] of givenBy) {
    const problem = enforced.problemOf(key) ?? staged?.problemOf(key);
    if (problem) throw new Error(`${file}: ${problem}`);
  }
  return { enforced, ...(staged ? { staged } : {}) };
}

const portsOf = ({ port }: Options): Ports => good(parsePort(port));

function good<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}
