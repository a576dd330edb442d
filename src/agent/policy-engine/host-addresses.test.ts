import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openLog } from '../../base/log.io.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { ip } from '../../net/ip.ts';
import { HostAddresses } from './host-addresses.io.ts';

test('addresses are told by interface; once followed, also when one comes or goes', async () => {
  const kernel = memoryKernel();
  const { index: linkIndex } = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  const told: string[] = [];
  const stop = new AbortController();
  const tell = (addresses: ReadonlyMap<string, readonly string[]>): void =>
    void told.push([...addresses].map(([name, ips]) => `${name}=${ips.join()}`).join(' '));
  const addresses = new HostAddresses(kernel, tell, openLog('test', 'fatal'), stop.signal);
  addresses.read();
  const change = (kind: 'addAddress' | 'deleteAddress', last: number): void =>
    void kernel.apply([{ kind, linkIndex, ip: ip(`10.0.0.${last}`), prefixLength: 24 }]);
  change('addAddress', 1);
  await setImmediate();
  assert.deepEqual(told, [''], 'nobody listens yet');
  addresses.follow();
  addresses.follow();
  change('addAddress', 2);
  change('addAddress', 3);
  await setImmediate();
  await setImmediate();
  change('deleteAddress', 1);
  await setImmediate();
  await setImmediate();
  stop.abort();
  change('deleteAddress', 2);
  await setImmediate();
  assert.deepEqual(told, [
    '',
    'eth0=10.0.0.1',
    'eth0=10.0.0.1,10.0.0.2,10.0.0.3',
    'eth0=10.0.0.2,10.0.0.3',
  ]);
});
