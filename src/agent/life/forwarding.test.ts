import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { resourceKey } from '../../model/keys.ts';
import { World } from '../../policy/world.ts';
import { Forwarding } from './forwarding.io.ts';

const V4 = 'ipv4/ip_forward';
const V6 = 'ipv6/conf/all/forwarding';

function host() {
  const [kernel, world] = [memoryKernel(), new World()];
  const forwarding = new Forwarding(kernel, 'n1', openLog('test', 'fatal'));
  const put = (kind: string, key: string, spec: object): void => {
    world.put(key, JSON.stringify({ kind, metadata: { name: 'x' }, spec }));
    forwarding.look(world);
  };
  const configure = (name: string, ipForwarding: string): void =>
    put('FelixConfiguration', resourceKey('felixconfigurations', name), { ipForwarding });
  const pool = (cidr: string): void => put('IPPool', resourceKey('ippools', 'p'), { cidr });
  return { kernel, configure, pool };
}

test('a host with pods forwards; IPv6 where a pool is', () => {
  const { kernel, pool } = host();
  pool('10.1.0.0/16');
  assert.deepEqual([kernel.getSysctl(V4), kernel.getSysctl(V6)], ['1', '0']);
  pool('fd00::/48');
  assert.equal(kernel.getSysctl(V6), '1');
});

test('a host that shall not is left as it is, until it is told otherwise', () => {
  const { kernel, configure, pool } = host();
  configure('default', 'Disabled');
  pool('fd00::/48');
  assert.deepEqual([kernel.getSysctl(V4), kernel.getSysctl(V6)], ['0', '0']);
  configure('node.n1', 'Enabled');
  assert.deepEqual([kernel.getSysctl(V4), kernel.getSysctl(V6)], ['1', '1']);
  configure('node.n1', 'disabled');
  assert.equal(kernel.getSysctl(V4), '1');
});
