// Where the MTU of a pod's interface comes from.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { IpPool } from '../../../model/ip-pool.ts';
import { mtuNow } from '../../life/host.io.ts';
import { mtuFor } from './conditions.io.ts';

const folder = mkdtempSync(join(tmpdir(), 'calico-kit-conditions-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const absent = join(folder, 'absent');
const written = join(folder, 'mtu');
writeFileSync(written, '1380');

const node = { effectiveMtu: () => 1450 };
const of = (mtu: number, requireMtuFile: boolean, path: string) =>
  mtuFor(node, { mtu, requireMtuFile }, path);

test('the configuration’s own, else the file’s, else the agent’s', () => {
  assert.deepEqual(of(1400, false, written), { ok: true, value: 1400 });
  assert.deepEqual(of(0, false, written), { ok: true, value: 1380 });
  assert.deepEqual(of(0, false, absent), { ok: true, value: 1450 });
});

test('what the chart wrote gives way to what the pools ask for now; another figure stays', () => {
  const settings = { asked: 1480, physical: 1500, tunnels: {}, pattern: undefined };
  const pool = (spec: object) => ({ spec: { cidr: '10.0.0.0/16', ...spec } }) as IpPool;
  const given = (mtu: number, ...pools: IpPool[]) => {
    const mtuOf = (configured: number) => mtuNow(configured, settings, pools);
    return mtuFor({ ...node, mtuNow: mtuOf }, { mtu, requireMtuFile: false }, absent);
  };
  const value = (bytes: number) => ({ ok: true, value: bytes });
  assert.deepEqual(given(1480, pool({ ipipMode: 'Always' })), value(1480));
  assert.deepEqual(given(1480, pool({ vxlanMode: 'CrossSubnet' })), value(1450));
  assert.deepEqual(given(1480, pool({})), value(1500));
  assert.deepEqual(given(1400, pool({ vxlanMode: 'Always' })), value(1400));
  assert.equal(mtuNow(1480, { ...settings, physical: undefined }, []), undefined);
});

test('a configuration that demands the file waits for it', () => {
  assert.deepEqual(of(0, true, written), { ok: true, value: 1380 });
  assert.deepEqual(of(1400, true, written), { ok: true, value: 1400 });
  const missing = of(1400, true, absent);
  assert.ok(!missing.ok);
  assert.match(missing.error.msg, /absent is missing; check that calico-node has started/);
  writeFileSync(join(folder, 'empty'), '');
  assert.equal(of(0, true, join(folder, 'empty')).ok, false);
});
