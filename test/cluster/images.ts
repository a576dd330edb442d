// The two images that the cluster needs besides ours: the pod sandbox and a probe with a shell,
// ping, wget and httpd. Built from Go and from the machine's static busybox; no registry.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { writeImageArchive } from '../../images/oci-archive.ts';
import { command } from './command.ts';
import { PAUSE_IMAGE } from './netns/layout.ts';
import { CACHE } from './tools.ts';

export const PROBE_IMAGE = 'docker.io/calico-kit/probe:0.1.0';

// Sleeps for ever, leaves on a signal. As PID 1 of a pod it would also reap orphans in a shared
// pid namespace, which these pods do not use.
const PAUSE = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
`;

const APPLETS = [
  'sh',
  'ash',
  'ping',
  'wget',
  'nc',
  'httpd',
  'ip',
  'cat',
  'echo',
  'sleep',
  'ls',
  'test',
  'true',
  'false',
  'hostname',
  'traceroute',
  'env',
  'date',
  'kill',
  'tail',
  'timeout',
];

const fresh = (name: string): string => {
  const folder = join(CACHE, 'rootfs', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
};

async function buildPause(out: string): Promise<void> {
  const rootfs = fresh('pause');
  const source = fresh('pause-source');
  writeFileSync(join(source, 'main.go'), PAUSE);
  const env = ['env', 'CGO_ENABLED=0', 'GOFLAGS=-buildvcs=false', 'GO111MODULE=off'];
  await command([
    ...env,
    'go',
    'build',
    '-trimpath',
    '-ldflags',
    '-s -w',
    '-o',
    join(rootfs, 'pause'),
    join(source, 'main.go'),
  ]);
  await writeImageArchive({
    out,
    rootfs,
    config: { Entrypoint: ['/pause'] },
    names: [PAUSE_IMAGE],
  });
}

async function buildProbe(out: string): Promise<void> {
  const rootfs = fresh('probe');
  for (const folder of ['bin', 'etc', 'tmp']) mkdirSync(join(rootfs, folder));
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(rootfs, 'bin', applet));
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  const config = { Cmd: ['sh'], Env: ['PATH=/bin'] };
  await writeImageArchive({ out, rootfs, config, names: [PROBE_IMAGE] });
}

/** Paths of the archives; rebuilt when this file or busybox changed. */
export async function buildTestImages(): Promise<readonly string[]> {
  const folder = join(CACHE, 'images');
  mkdirSync(folder, { recursive: true });
  const [pause, probe] = [join(folder, 'pause.tar'), join(folder, 'probe.tar')];
  const stamp = join(folder, '.test-images.stamp');
  const wanted = readFileSync(import.meta.filename, 'utf8');
  if (
    !existsSync(stamp) ||
    readFileSync(stamp, 'utf8') !== wanted ||
    !existsSync(pause) ||
    !existsSync(probe)
  ) {
    await buildPause(pause);
    await buildProbe(probe);
    writeFileSync(stamp, wanted);
  }
  return [pause, probe];
}
