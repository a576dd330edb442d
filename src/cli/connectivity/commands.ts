// `calico-kit connectivity test`: whether pods reach pods and services, and whether policy holds.
import type { Command } from 'commander';
import type { KubernetesObjects } from '../../kubernetes/objects.io.ts';
import type { Output } from '../output.ts';
import type { Order } from './objects.ts';
import { runTest } from './run.io.ts';
import { callAll, serve } from './serve.io.ts';

export interface Running {
  openObjects(): Promise<KubernetesObjects>;
  print(output: Output, format: string | undefined): void;
  /** To standard error. */
  tell(words: string): void;
  /** A short random text for the name of the namespace. */
  suffix(): string;
  /** The orders of a pod that calls. */
  orders(): string | undefined;
  /** To standard output. */
  write(text: string): void;
}

interface Options {
  readonly image: string;
  readonly pullSecret?: readonly string[];
  readonly timeout: string;
  readonly namespace?: string;
  readonly nodes: string;
  readonly output?: string;
}

const IMAGE = 'docker.io/calico-kit/kube-controllers:0.1.0';

/** Adds the group `connectivity`. */
export function addConnectivityCommands(program: Command, running: Running): void {
  const group = program.command('connectivity').description('whether the network works');
  group
    .command('test')
    .description('pods on every node call each other and a service; a policy comes and goes')
    .option('--image <image>', 'what the pods run', IMAGE)
    .option(
      '--pull-secret <name...>',
      'Secrets of kube-system for the registry of the image; copied while the test runs',
    )
    .option('--timeout <seconds>', 'how long pods may take to start', '120')
    .option('--namespace <name>', 'one that is there; else one is made and deleted')
    .option('--nodes <number>', 'at most so many nodes take part', '10')
    .option('-o, --output <format>', 'json')
    .action(async ({ image, pullSecret = [], timeout, namespace, nodes, output }: Options) => {
      const timeoutSeconds = Number(timeout);
      if (!(timeoutSeconds > 0))
        throw new Error(`--timeout '${timeout}': use seconds, such as 120`);
      const nodesMax = Number(nodes);
      if (!Number.isInteger(nodesMax) || nodesMax < 1)
        throw new Error(`--nodes '${nodes}': use a number, such as 10`);
      const result = await runTest(await running.openObjects(), {
        namespace: namespace ?? `calico-connectivity-${running.suffix()}`,
        keepNamespace: namespace !== undefined,
        nodesMax,
        image,
        pullSecrets: pullSecret,
        timeoutSeconds,
        say: running.tell,
      });
      running.print(result, output);
    });
  group
    .command('serve', { hidden: true })
    .description('a pod of the test that answers')
    .action(serve);
  group
    .command('call', { hidden: true })
    .description('a pod of the test that calls')
    .action(async () => {
      const order = JSON.parse(running.orders() ?? '{}') as Order;
      running.write(JSON.stringify(await callAll(order)));
    });
}
