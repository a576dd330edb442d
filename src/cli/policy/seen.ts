// The commands that ask this node's agent what its policy has done: `policy counters`, `policy denied`,
// `policy guard`.
import type { Command } from 'commander';
import type { GuardReport } from '../../policy/counters/guard-report.ts';
import type { Output } from '../output.ts';
import { AGENT_URL, askAgent } from './agent.io.ts';
import { type CounterReport, policyCounters } from './counters.ts';
import { type DeniedReport, policyDenied } from './denied.ts';
import { policyGuard } from './guard.ts';

interface Options {
  readonly agent: string;
  readonly output?: string;
}

const NOT_RUNNING: Output = {
  data: null,
  lines: ['the agent of this node is not running, or its health port is off'],
  failed: true,
};

/** Adds the group `policy`. `print`: what a command answers; `format` is its -o. */
export function addSeenCommands(
  program: Command,
  print: (output: Output, format: string | undefined) => void,
): void {
  const policy = program.command('policy').description('what policy on this node has done');
  const about = (name: string, words: string): Command =>
    policy
      .command(name)
      .description(words)
      .option('--agent <url>', "the agent's health address", AGENT_URL)
      .option('-o, --output <format>', 'json');
  const ask = async <T>({ agent, output }: Options, path: string, show: (report: T) => Output) => {
    const asked = await askAgent(agent, path);
    if (!asked.ok) throw new Error(asked.error);
    print(asked.value === undefined ? NOT_RUNNING : show(JSON.parse(asked.value) as T), output);
  };
  about('counters [policy]', 'packets and bytes that each rule has matched').action(
    (name: string | undefined, options: Options) =>
      ask<CounterReport>(options, '/policy/counters', (report) => policyCounters(report, name)),
  );
  about('guard', 'whether the guard stands behind the rules, and what it stopped').action(
    (options: Options) => ask<readonly GuardReport[]>(options, '/policy/guard', policyGuard),
  );
  about('denied', 'the newest packets that were dropped, and by which rule').action(
    (options: Options) => ask<DeniedReport>(options, '/policy/denied', policyDenied),
  );
}
