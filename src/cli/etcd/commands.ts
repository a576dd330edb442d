// `calico-kit etcd`: what calico-etcd needs besides etcd itself.
import type { Command } from 'commander';
import { defragment, nameOf, type Open, seeMembers, using } from '../../etcd/members.io.ts';
import { takeSnapshot, takeSnapshotInto } from '../../etcd/snapshots.io.ts';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import type { Output } from '../output.ts';
import { makeCertificates } from './certificates.io.ts';
import { addJoinCommand } from './join.ts';
import { status } from './status.ts';

export interface Running {
  openObjects(): Promise<SharedObjects>;
  /** The datastore that the settings name, or one member of it. */
  readonly openMembers: Open;
  print(output: Output, format: string | undefined): void;
  /** Aborted when the program is told to end, which then does not end it at once. */
  termination(): AbortSignal;
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
  readonly authority: string;
  readonly settle: string;
}

interface SnapshotOptions {
  readonly dir?: string;
  readonly keep: string;
  readonly alone?: true;
}

/** Adds the group `etcd`. */
export function addEtcdCommands(program: Command, running: Running): void {
  const group = program.command('etcd').description('the datastore itself: etcd and its members');
  addMemberCommands(group, running);
  addJoinCommand(group, running);
  group
    .command('certificates')
    .description('makes the Secrets with its certificates, and makes them anew when they must be')
    .option('--namespace <name>', 'where the Secrets are', 'kube-system')
    .option('--address <ip...>', 'under which the members are reached', [])
    .option('--control-plane', 'also under the addresses of the nodes of the control plane')
    .option('--rotation <text>', 'another text than before: new certificates', '')
    .option('--authority <text>', 'another text than before: another authority, in three turns', '')
    .option('--settle <seconds>', 'how long a Secret may take to reach all pods', '300')
    .action(async (options: CertificateOptions) => {
      const { namespace, address, controlPlane, rotation, authority } = options;
      const settleSeconds = Number(options.settle);
      if (!(settleSeconds >= 0)) throw new Error(`--settle '${options.settle}': use seconds`);
      const place = {
        objects: await running.openObjects(),
        namespace,
        now: running.now,
        say: running.write,
      };
      const asked = { addresses: address, controlPlane, rotation, authority, settleSeconds };
      await makeCertificates(place, asked);
    });
}

function addMemberCommands(group: Command, running: Running): void {
  const { openMembers: open, write } = running;
  group
    .command('status')
    .description('every member: its role, size and state')
    .option('-o, --output <format>', 'json')
    .action(async ({ output }: { output?: string }) =>
      running.print(status(await seeMembers(open)), output),
    );
  group
    .command('snapshot [file]')
    .description('writes the whole state into a file, or into a folder that keeps the newest ones')
    .option('--dir <folder>', 'instead of a file: a new one there, named by the time')
    .option('--keep <number>', 'how many of them the folder keeps', '7')
    .option('--alone', 'of one member, though it has lost the others: it may miss the latest')
    .action(async (file: string | undefined, { dir, keep, alone }: SnapshotOptions) => {
      if ((file === undefined) === (dir === undefined)) throw new Error('give a file, or --dir');
      const count = Number(keep);
      if (!Number.isInteger(count) || count < 1) throw new Error(`--keep '${keep}': use a number`);
      const written =
        file === undefined
          ? await takeSnapshotInto(open, dir!, count, running.now())
          : await takeSnapshot(open, file, !alone);
      write(`${written.file}: ${written.bytes} bytes`);
    });
  group
    .command('defrag')
    .description('members give back unused space, one after the other, the leader last')
    .option('--min-free <mib>', 'leave members alone that have less to give back', '0')
    .action(async ({ minFree }: { minFree: string }) => {
      const mebibytes = Number(minFree);
      if (!(mebibytes >= 0)) throw new Error(`--min-free '${minFree}': use a number of MiB`);
      await defragment(open, mebibytes * (1 << 20), write);
    });
  group
    .command('remove <member>')
    .description('takes a member out that will not come back, by its name or id')
    .action(async (wanted: string) => {
      await using(open, undefined, async (members) => {
        const all = await members.list(true);
        const found = all.filter(({ id, name }) => name === wanted || id.toString(16) === wanted);
        if (found.length !== 1) {
          const known = all.map((one) => `${nameOf(one)} (${one.id.toString(16)})`).join(', ');
          throw new Error(`${found.length} members are '${wanted}'; there are ${known}`);
        }
        await members.remove(found[0]!.id);
      });
      write(`${wanted} is no member any more`);
    });
}
