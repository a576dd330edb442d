// The commands that ask this node's speaker: `node status`, `bgp peers`, `bgp routes`.
import type { Command } from 'commander';
import type { RouteReport, SpeakerReport } from '../../bgp/status.ts';
import type { Output } from '../output.ts';
import { bgpRoutes, whyRoute } from './routes.ts';
import { askSpeaker, readSpeaker, SPEAKER_URL } from './speaker.io.ts';
import { bgpPeers, nodeStatus, notRunning } from './status.ts';

export interface Printing {
  /** Prints what a command answers; `format` is its -o. */
  print(output: Output, format: string | undefined): void;
  now(): Date;
  /** Writes octets to a file, or to standard output. */
  write(pieces: AsyncIterable<Uint8Array>, file: string | undefined): Promise<void>;
}

interface Options {
  readonly speaker: string;
  readonly output?: string;
  /** A prefix. */
  readonly why?: string;
}

/** Adds the groups `node` and `bgp`. */
export function addNodeCommands(program: Command, { print, now, write }: Printing): void {
  const node = program.command('node').description('the Calico processes of this node');
  const bgp = program.command('bgp').description('BGP sessions and routes of this node');
  const about = (group: Command, name: string, words: string): Command =>
    group
      .command(name)
      .description(words)
      .option('--speaker <url>', "the speaker's health address", SPEAKER_URL)
      .option('-o, --output <format>', 'json');
  const report = (answer: (report: SpeakerReport) => Output) => async (options: Options) => {
    const text = await ask(options, '/status');
    print(text === undefined ? notRunning : answer(JSON.parse(text)), options.output);
  };
  about(node, 'status', "the BGP sessions, in calicoctl's columns").action(
    report((found) => nodeStatus(found, now())),
  );
  about(bgp, 'peers', 'every session with prefixes and flaps').action(report(bgpPeers));
  about(bgp, 'routes', 'the routing table: what each prefix is reached by')
    .option('--why <prefix>', 'every path to this prefix, and what it lost by')
    .action(async (options: Options) => print(await routes(options), options.output));
  bgp
    .command('dump')
    .description('the routing table in the MRT format (RFC 6396), for bgpdump and bug reports')
    .option('--speaker <url>', "the speaker's health address", SPEAKER_URL)
    .option('--file <path>', 'where to; absent: standard output')
    .action(async ({ speaker, file }: { readonly speaker: string; readonly file?: string }) => {
      const read = await readSpeaker(speaker, '/dump');
      if (!read.ok) throw new Error(read.error);
      if (read.value === undefined) print(notRunning, undefined);
      else await write(read.value, file);
    });
}

async function ask({ speaker }: Options, path: string): Promise<string | undefined> {
  const asked = await askSpeaker(speaker, path);
  if (!asked.ok) throw new Error(asked.error);
  return asked.value;
}

async function routes(options: Options): Promise<Output> {
  const { why } = options;
  const query = why === undefined ? '' : `?${new URLSearchParams({ prefix: why })}`;
  const text = await ask(options, `/routes${query}`);
  if (text === undefined) return notRunning;
  const found = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as RouteReport);
  return why === undefined ? bgpRoutes(found) : whyRoute(why, found[0]);
}
