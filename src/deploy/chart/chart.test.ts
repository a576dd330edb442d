import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { leavesOf } from '../../base/json-schema.ts';
import { schemaPart } from '../../model/settings/schema.ts';
import { defaults } from '../../model/settings/settings.ts';
import { chartFiles } from './package.ts';

const files = chartFiles();
const templates = [...files].filter(([path]) => path.startsWith('templates/'));
const templateText = templates.map(([, text]) => text).join('\n');

test('two generations give equal bytes', () => {
  assert.deepEqual([...chartFiles()], [...files]);
});

test('values.yaml holds the defaults, in both versions of YAML', () => {
  const text = files.get('values.yaml') ?? '';
  assert.deepEqual(parse(text), defaults());
  assert.deepEqual(parse(text, { version: '1.1' }), defaults());
});

test('every default has its description above it', () => {
  const text = files.get('values.yaml') ?? '';
  for (const { path, part } of leavesOf(schemaPart)) {
    if (part.default === undefined) continue;
    assert.ok(part.description, path.join('.'));
    assert.ok(text.includes(`# -- ${part.description}\n`), path.join('.'));
  }
});

test('the README lists every setting, and every field of objects in lists', () => {
  const readme = files.get('README.md') ?? '';
  for (const { path } of leavesOf(schemaPart)) {
    assert.ok(readme.includes(`| \`${path.join('.')}\` |`), path.join('.'));
  }
  assert.match(readme, /^\| `networking\.pools\[\]\.blockSize` \| integer \| {2}\| Prefix length/m);
  assert.match(
    readme,
    /^\| `networking\.bgp\.ipv4\.peers\[\]\.spec\.password\.secretKeyRef\.name` /m,
  );
});

/** Read whole. */
const SECTIONS = [
  'conf.node',
  'conf.cni_network_config',
  'networking.bgp.ipv4',
  'networking.bgp.ipv6',
  'bgpConfiguration',
  'felixConfiguration',
];

test('templates read every setting, and nothing that is none', () => {
  const known = leavesOf(schemaPart).map(({ path }) => path.join('.'));
  const read = new Set(
    [...templateText.matchAll(/\$\.Values\.([\w.]+)/g)].map((match) => match[1] ?? ''),
  );
  const isRead = (path: string) =>
    read.has(path) || SECTIONS.some((name) => path.startsWith(`${name}.`) && read.has(name));
  assert.deepEqual(
    known.filter((path) => !isRead(path)),
    [],
  );
  assert.deepEqual(
    [...read].filter(
      (path) => !known.some((setting) => setting === path || setting.startsWith(`${path}.`)),
    ),
    [],
  );
});

test('templates render the same every time and without a cluster', () => {
  const actions = [...templateText.matchAll(/\{\{(.*?)\}\}/gs)].map((match) => match[1] ?? '');
  const unquoted = actions.map((action) => action.replaceAll(/"(\\.|[^"\\])*"/g, '""')).join('\n');
  assert.doesNotMatch(
    unquoted,
    /\b(rand\w*|gen\w+|lookup|now|env|expandenv|getHostByName|uuidv4)\b/,
  );
  assert.doesNotMatch(unquoted, /(^|[^$\w])\.(Values|Release|Chart)/m, 'the dot changes in a loop');
});
