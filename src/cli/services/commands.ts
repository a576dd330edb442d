// The commands about services on this node: `services`, `services release`.
import type { Command } from 'commander';
import type { Output } from '../output.ts';
import { listServices, type ServiceTables, servedAddresses } from './listing.ts';

export interface Node {
  print(output: Output, format: string | undefined): void;
  /** Of both address families. */
  readTables(): Promise<readonly ServiceTables[]>;
  /** How many lines that took; 0: there was nothing. */
  release(): Promise<number>;
}

/** Adds the group `services`. */
export function addServiceCommands(program: Command, { print, readTables, release }: Node): void {
  const services = program
    .command('services')
    .description('services as this node serves them, whoever wrote the rules');
  services
    .command('show [service]', { isDefault: true })
    .description('addresses, chains, endpoints and connections; of one: namespace/name')
    .option('-o, --output <format>', 'json')
    .action(async (name: string | undefined, { output }: { readonly output?: string }) =>
      print(listServices(servedAddresses(await readTables()), name), output),
    );
  services
    .command('release')
    .description(
      'takes the rules of services out of the kernel, after serviceProxy.enabled was set to false ' +
        'and where no kube-proxy takes them over',
    )
    .action(async () => print(released(await release()), undefined));
}

const released = (lines: number): Output => ({
  data: { lines },
  lines: [
    lines === 0
      ? 'there were no rules of services'
      : 'the rules of services are gone; chains that kubelet uses too are kept',
  ],
});
