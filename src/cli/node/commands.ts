// The commands that ask this node's speaker: `node status`, `bgp peers`.
import type { Command } from 'commander';
import type { SpeakerReport } from '../../bgp/status.ts';
import type { Output } from '../output.ts';
import { askSpeaker, SPEAKER_URL } from './speaker.io.ts';
import { bgpPeers, nodeStatus, notRunning } from './status.ts';

export interface Printing {
  /** Prints what a command answers; `format` is its -o. */
  print(output: Output, format: string | undefined): void;
  now(): Date;
}

interface Options {
  readonly speaker: string;
  readonly output?: string;
}

/** Adds the groups `node` and `bgp`. */
export function addNodeCommands(program: Command, { print, now }: Printing): void {
  const node = program.command('node').description('the Calico processes of this node');
  const bgp = program.command('bgp').description('BGP sessions and routes of this node');
  const about = (group: Command, name: string, words: string): Command =>
    group
      .command(name)
      .description(words)
      .option('--speaker <url>', "the speaker's health address", SPEAKER_URL)
      .option('-o, --output <format>', 'json');
  const report = (answer: (report: SpeakerReport) => Output) => async (options: Options) => {
    const asked = await askSpeaker<SpeakerReport>(options.speaker, '/status');
    if (!asked.ok) throw new Error(asked.error);
    print(asked.value ? answer(asked.value) : notRunning, options.output);
  };
  about(node, 'status', "the BGP sessions, in calicoctl's columns").action(
    report((found) => nodeStatus(found, now())),
  );
  about(bgp, 'peers', 'every session with prefixes and flaps').action(report(bgpPeers));
}
