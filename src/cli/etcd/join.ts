// `calico-kit etcd join` before a member of calico-etcd starts on a node, and `erase` after its last end.
import type { Command } from 'commander';
import { ensureOwnAddress } from '../../etcd/certificates/own-address.io.ts';
import { eraseData } from '../../etcd/join/data.io.ts';
import { prepareMember } from '../../etcd/join/prepare.io.ts';
import { flagOf } from '../../etcd/join/process.io.ts';
import type { Running } from './commands.ts';

interface Options {
  readonly namespace: string;
  readonly node: string;
  readonly address: string;
  readonly members: string;
  readonly health: string;
  readonly snapshots: string;
  readonly restore: string;
  readonly ownCertificate?: true;
}

export function addJoinCommand(group: Command, running: Running): void {
  group
    .command('join <etcd...>')
    .description('makes the data of this node that of a member; -- and then the command of etcd')
    .option('--namespace <name>', 'where the record of the members is', 'kube-system')
    .requiredOption('--node <name>', 'of this node')
    .requiredOption('--address <ip>', 'of this node')
    .option('--members <number>', 'how many there are to be', '1')
    .option('--health <url>', 'where etcd answers its probes', 'http://127.0.0.1:6668')
    .option('--snapshots <folder>', 'where snapshots are', '/var/etcd-snapshots')
    .option('--restore <name>', 'the snapshot to begin anew from', '')
    .option('--own-certificate', 'the certificate of the members is to have this address')
    .action(async (command: readonly string[], options: Options) =>
      join(command, options, running),
    );
  group
    .command('erase')
    .description('removes the data of a member from this node; none may run')
    .requiredOption('--data-dir <folder>', 'as etcd is told')
    .action(({ dataDir }: { dataDir: string }) => {
      for (const name of eraseData(dataDir)) running.write(`${name} is gone`);
    });
}

async function join(command: readonly string[], options: Options, running: Running): Promise<void> {
  const { namespace, node, address, members, health, snapshots, restore } = options;
  const membersMax = Number(members);
  if (!(membersMax >= 1)) throw new Error(`--members '${members}': use a number`);
  const objects = await running.openObjects();
  const { write: say, openMembers } = running;
  const signal = running.termination();
  if (options.ownCertificate) {
    const place = { objects, namespace, now: running.now, say };
    await ensureOwnAddress(place, address, flagOf(command, '--cert-file'), signal);
  }
  await prepareMember({
    ...{ objects, namespace, node, address, membersMax, restore, snapshots, command },
    healthUrl: health,
    // It asks the others by their addresses alone.
    openMembers,
    say,
    signal,
  });
}
