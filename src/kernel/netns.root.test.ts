// The kernel port on Linux, in namespaces of its own.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { netnsPath, withNetns } from '../../test/lab/netns.ts';
import { cidr } from '../net/cidr.ts';
import { kernelCases } from './kernel.cases.ts';
import { ROUTE_PROTOCOL, type Route } from './kernel.ts';
import { openKernelAt } from './netns.io.ts';

let number = 0;
const open: { name: string; remove: () => void }[] = [];
after(() => {
  for (const { remove } of open) remove();
});

kernelCases('linux', () => {
  const [host, pod] = withNetns(`ckt-kernel-${process.pid}-${++number}`, ['h', 'p']);
  open.push(host!, pod!);
  return {
    kernel: openKernelAt(netnsPath(host!.name)),
    podNetns: netnsPath(pod!.name),
    done: () => {
      host!.remove();
      pod!.remove();
    },
  };
});

test('linux: 2,000 routes in one batch, all read back', () => {
  const [host] = withNetns(`ckt-kernel-${process.pid}-many`, ['h']);
  try {
    const kernel = openKernelAt(netnsPath(host!.name));
    const routes = Array.from(
      { length: 2000 },
      (_, i): Route => ({
        destination: cidr(`10.${i >> 8}.${i & 255}.0/24`),
        kind: 'blackhole',
        scope: 'global',
        onlink: false,
        protocol: ROUTE_PROTOCOL.bird,
        metric: 0,
      }),
    );
    for (let at = 0; at < routes.length; at += 500) {
      kernel.apply(routes.slice(at, at + 500).map((route) => ({ kind: 'addRoute', route })));
    }
    assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 2000);
    kernel.close();
  } finally {
    host!.remove();
  }
});
