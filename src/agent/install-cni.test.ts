// Files in temporary folders only.
import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type InstallPlaces, installCni, uninstallCni } from './install-cni.io.ts';

const PLUGINS = ['bandwidth', 'calico', 'calico-ipam', 'loopback', 'portmap'];
const ENV = {
  CNI_NETWORK_CONFIG: '{"name":"k8s-pod-network","plugins":[{"mtu":__CNI_MTU__}]}',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  CNI_MTU: '1480',
};

let folder: string;
let places: InstallPlaces;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calico-kit-install-'));
  const sub = (name: string): string => join(folder, name);
  places = { source: sub('image'), bin: sub('bin'), net: sub('net'), serviceAccount: sub('sa') };
  for (const name of ['image', 'sa']) mkdirSync(sub(name));
  for (const name of PLUGINS) writeFileSync(join(places.source, name), `program ${name}`);
  writeFileSync(join(places.serviceAccount, 'token'), 'the-token\n');
  writeFileSync(join(places.serviceAccount, 'ca.crt'), 'PEM');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o7777;
const read = (path: string): string => readFileSync(path, 'utf8');
const plugin = (name: string): string => join(places.bin, name);
const visible = (path: string): string[] => readdirSync(path).filter((n) => !n.startsWith('.'));

describe('install-cni', () => {
  test('writes plugins, kubeconfig and configuration with their modes', () => {
    installCni(ENV, places);
    assert.deepEqual(visible(places.bin).sort(), PLUGINS);
    for (const name of PLUGINS) assert.equal(modeOf(plugin(name)), 0o755);
    assert.deepEqual(readdirSync(places.net).sort(), ['10-calico.conflist', 'calico-kubeconfig']);
    for (const name of readdirSync(places.net)) assert.equal(modeOf(join(places.net, name)), 0o600);
    const conflist = JSON.parse(read(join(places.net, '10-calico.conflist'))) as {
      plugins: { mtu: number }[];
    };
    assert.equal(conflist.plugins[0]?.mtu, 1480);
    assert.match(read(join(places.net, 'calico-kubeconfig')), /"token": "the-token"/);
  });

  test('a bad configuration writes nothing', () => {
    assert.throws(() => installCni({ ...ENV, CNI_NETWORK_CONFIG: '{' }, places), /no JSON object/);
    assert.throws(() => installCni({}, places), /CNI_NETWORK_CONFIG: empty/);
    assert.throws(() => installCni({ ...ENV, CNI_CONF_NAME: '../x' }, places), /plain file name/);
    assert.deepEqual(readdirSync(folder).sort(), ['image', 'sa']);
  });

  test('a link in the place of a file is replaced, its target untouched', () => {
    const outside = join(folder, 'outside');
    writeFileSync(outside, 'precious');
    mkdirSync(places.net);
    mkdirSync(places.bin);
    for (const path of [plugin('calico'), join(places.net, '10-calico.conflist')])
      symlinkSync(outside, path);
    installCni(ENV, places);
    assert.equal(read(outside), 'precious');
    assert.ok(lstatSync(plugin('calico')).isFile());
    assert.ok(lstatSync(join(places.net, '10-calico.conflist')).isFile());
  });

  test('a second run replaces what changed in the image', () => {
    installCni(ENV, places);
    writeFileSync(join(places.source, 'portmap'), 'newer');
    installCni({ ...ENV, UPDATE_CNI_BINARIES: 'false' }, places);
    assert.equal(read(plugin('portmap')), 'program portmap');
    installCni(ENV, places);
    assert.equal(read(plugin('portmap')), 'newer');
  });

  test('skipped plugins are not written, a common plugin of another owner stays', () => {
    mkdirSync(places.bin);
    writeFileSync(plugin('portmap'), 'somebody else’s');
    installCni({ ...ENV, SKIP_CNI_BINARIES: 'loopback' }, places);
    assert.deepEqual(visible(places.bin).sort(), ['bandwidth', 'calico', 'calico-ipam', 'portmap']);
    assert.equal(read(plugin('portmap')), 'somebody else’s');
  });

  test('outside Kubernetes there is no kubeconfig', () => {
    rmSync(places.serviceAccount, { recursive: true });
    installCni(ENV, places);
    assert.deepEqual(readdirSync(places.net), ['10-calico.conflist']);
  });
});

describe('uninstall', () => {
  test('removes what was written and nothing else, twice', () => {
    mkdirSync(places.bin);
    mkdirSync(places.net);
    writeFileSync(plugin('portmap'), 'somebody else’s');
    writeFileSync(join(places.net, '99-other.conf'), '{}');
    installCni(ENV, places);
    for (let time = 0; time < 2; time++) uninstallCni(ENV, places);
    assert.deepEqual(readdirSync(places.bin), ['portmap']);
    assert.deepEqual(readdirSync(places.net), ['99-other.conf']);
  });

  test('a plugin that somebody replaced since stays', () => {
    installCni(ENV, places);
    rmSync(plugin('loopback'));
    writeFileSync(plugin('loopback'), 'another');
    uninstallCni(ENV, places);
    assert.deepEqual(readdirSync(places.bin), ['loopback']);
  });
});
