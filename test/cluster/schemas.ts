// Schemas of Kubernetes' objects, without asking anybody who serves some: those of the API server, for
// every version, as the Python package kubernetes-validate ships them; those of Prometheus Operator
// from its Go module, as CRDs and as schemas.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { locked } from './lock.ts';
import { ensurePackages } from './packages.ts';
import { CACHE } from './tools.ts';

const VALIDATE = 'kubernetes-validate==1.37.0';
const OPERATOR = 'github.com/prometheus-operator/prometheus-operator@v0.85.0';
const KINDS = ['podmonitors', 'servicemonitors', 'prometheusrules'];

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Folder with `schemas` (kubeconform: see schemaLocation) and `crds`; made once. */
async function folder(): Promise<string> {
  mkdirSync(CACHE, { recursive: true });
  const made = join(CACHE, 'schemas');
  const stamp = `${VALIDATE} ${OPERATOR}`;
  const done = join(made, '.stamp');
  await locked(join(CACHE, '.schemas.lock'), async () => {
    if (existsSync(done) && readFileSync(done, 'utf8') === stamp) return;
    rmSync(made, { recursive: true, force: true });
    const unfinished = `${made}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(join(unfinished, 'crds'), { recursive: true });
    fetchKubernetes(unfinished);
    fetchOperator(unfinished);
    writeFileSync(join(unfinished, '.stamp'), stamp);
    renameSync(unfinished, made);
  });
  return made;
}

function fetchKubernetes(into: string): void {
  ensurePackages(['python3-pip']);
  const download = join(into, 'download');
  run('pip3', 'download', '-q', '--no-deps', '-d', download, VALIDATE);
  const wheel = run('ls', download).trim();
  run('python3', '-m', 'zipfile', '-e', join(download, wheel), download);
  const all = join(download, 'kubernetes_validate/kubernetes-json-schema');
  for (const version of readdirSync(all).filter((name) => name.endsWith('-strict'))) {
    const to = join(into, 'schemas', version);
    cpSync(join(all, version), to, { recursive: true });
    for (const name of readdirSync(to)) {
      const file = join(to, name);
      // Their names and references are addresses of a server; here they are files beside one another.
      const text = readFileSync(file, 'utf8');
      const own = text.replaceAll('"/api/_definitions', '"_definitions');
      writeFileSync(file, own.replace(/,\s*"\$id": "[^"]*"/, ''));
    }
  }
  rmSync(download, { recursive: true });
}

interface Crd {
  readonly spec: {
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: object } }[];
  };
}

function fetchOperator(into: string): void {
  const { Dir } = JSON.parse(run('go', 'mod', 'download', '-json', OPERATOR)) as { Dir: string };
  mkdirSync(join(into, 'operator'));
  for (const kind of KINDS) {
    const name = `monitoring.coreos.com_${kind}.yaml`;
    const text = readFileSync(join(Dir, 'example/prometheus-operator-crd', name), 'utf8');
    writeFileSync(join(into, 'crds', name), text);
    const [version] = (parse(text) as Crd).spec.versions;
    const schema = closed(version!.schema.openAPIV3Schema);
    const file = `${kind.replace(/s$/, '')}-monitoring-v1.json`;
    writeFileSync(join(into, 'operator', file), JSON.stringify(schema));
  }
}

/** What the API server refuses under strict validation: fields that no schema names. */
function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part !== 'object' || part === null) return part;
  const inner = Object.fromEntries(Object.entries(part).map(([key, one]) => [key, closed(one)]));
  const open = 'additionalProperties' in part || 'x-kubernetes-preserve-unknown-fields' in part;
  const isObject = 'properties' in part && (part as { type?: unknown }).type === 'object';
  return isObject && !open && !('metadata' in (part.properties as object))
    ? { ...inner, additionalProperties: false }
    : inner;
}

/** Options with which kubeconform finds every schema here; strict, and nothing is left out. */
export async function schemaOptions(kubernetes: string): Promise<readonly string[]> {
  const made = await folder();
  const file = '{{.ResourceKind}}{{.KindSuffix}}.json';
  return [
    ...['-strict', '-summary', '-kubernetes-version', kubernetes],
    ...['-schema-location', join(made, `schemas/v${kubernetes}-local-strict`, file)],
    ...['-schema-location', join(made, 'operator', file)],
  ];
}

/** Folder of CRDs for objects that a cluster does not know by itself. */
export const crdFolder = async (): Promise<string> => join(await folder(), 'crds');
