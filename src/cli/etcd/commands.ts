// `calico-kit etcd`: what calico-etcd needs besides etcd itself.
import type { Command } from 'commander';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { makeCertificates } from './certificates.io.ts';

export interface Running {
  openObjects(): Promise<SharedObjects>;
  /** Milliseconds since 1970. */
  now(): number;
  /** To standard output. */
  write(text: string): void;
}

interface CertificateOptions {
  readonly namespace: string;
  readonly address: readonly string[];
  readonly controlPlane?: true;
  readonly rotation: string;
}

/** Adds the group `etcd`. */
export function addEtcdCommands(program: Command, running: Running): void {
  const group = program.command('etcd').description('calico-etcd itself');
  group
    .command('certificates')
    .description('makes the Secrets with its certificates, and makes them anew when they must be')
    .option('--namespace <name>', 'where the Secrets are', 'kube-system')
    .option('--address <ip...>', 'under which the members are reached', [])
    .option('--control-plane', 'also under the addresses of the nodes of the control plane')
    .option('--rotation <text>', 'another text than before: new certificates', '')
    .action(async ({ namespace, address, controlPlane, rotation }: CertificateOptions) => {
      const place = {
        objects: await running.openObjects(),
        namespace,
        now: running.now,
        say: running.write,
      };
      await makeCertificates(place, { addresses: address, controlPlane, rotation });
    });
}
