// Boots the guest in software emulation and hands on what it says, line by line.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { GuestImage } from './image.ts';

export interface Boot {
  readonly image: GuestImage;
  /** The emulator is killed after that. */
  readonly milliseconds: number;
  /** Where the kernel's own words go. */
  readonly consoleLog: string;
  readonly onLine: (line: string) => void;
}

/** Resolves to the exit code of the test inside; undefined: it did not come to an end. */
export async function bootGuest(boot: Boot): Promise<number | undefined> {
  const { kernel, archive } = boot.image;
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '2048'],
      ...['-display', 'none', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
      ...['-serial', `file:${boot.consoleLog}`, '-serial', 'stdio'],
      ...['-kernel', kernel.image, '-initrd', archive],
      ...['-append', 'console=ttyS0 panic=-1 random.trust_cpu=on mitigations=off'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const timer = setTimeout(() => child.kill('SIGKILL'), boot.milliseconds);
  let exit: number | undefined;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  for await (const line of createInterface({ input: child.stdout })) {
    const ended = /^guest: exit (\d+)/.exec(line);
    if (ended) exit = Number(ended[1]);
    else boot.onLine(line.trimEnd());
  }
  await closed;
  clearTimeout(timer);
  return exit;
}
