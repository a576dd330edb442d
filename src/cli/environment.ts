// How the program reaches the datastore: from its environment or from calicoctl's configuration file.
import { parse } from 'yaml';
import { fail, ok, type Result } from '../base/result.ts';

/** A PEM as text, or the file that holds it. */
export type Pem = { readonly text: string } | { readonly file: string };

export interface EtcdSettings {
  readonly endpoints: readonly string[];
  readonly authorities?: Pem;
  readonly certificate?: Pem;
  readonly key?: Pem;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where calicoctl looks when it is told nothing. */
export const CONFIG_PATH = '/etc/calico/calicoctl.cfg';

const EXAMPLE = 'give e.g. ETCD_ENDPOINTS=http://10.96.232.136:6666';

/** By ETCD_ENDPOINTS, ETCD_CA_CERT_FILE, ETCD_CERT_FILE and ETCD_KEY_FILE. Errors: what is wrong. */
export function settingsOfEnvironment(env: Environment): Result<EtcdSettings> {
  if (env['ETCD_USERNAME'])
    return fail(
      'ETCD_USERNAME is not supported: use a certificate (ETCD_CERT_FILE, ETCD_KEY_FILE)',
    );
  const endpoints = listOf(env['ETCD_ENDPOINTS']);
  if (endpoints.length === 0) return fail(`ETCD_ENDPOINTS is not set; ${EXAMPLE}`);
  const file = (name: string): Pem | undefined => {
    const path = env[name];
    return path ? { file: path } : undefined;
  };
  return checked(endpoints, {
    authorities: file('ETCD_CA_CERT_FILE'),
    certificate: file('ETCD_CERT_FILE'),
    key: file('ETCD_KEY_FILE'),
  });
}

/** By the text of a CalicoAPIConfig, YAML or JSON. Errors: what is wrong with it. */
export function settingsOfConfig(text: string): Result<EtcdSettings> {
  const spec = specOf(text);
  if (!spec.ok) return spec;
  const field = (name: string): string => {
    const value = spec.value[name];
    return typeof value === 'string' ? value : '';
  };
  const type = field('datastoreType') || 'etcdv3';
  if (type !== 'etcdv3') return fail(`datastoreType '${type}': only etcdv3 is supported`);
  if (field('etcdUsername')) return fail('etcdUsername is not supported: use a certificate');
  const endpoints = listOf(field('etcdEndpoints'));
  if (endpoints.length === 0) return fail('spec.etcdEndpoints is missing');
  const names = ['etcdCACert', 'etcdCert', 'etcdKey'] as const;
  const inline = names.filter((name) => field(name));
  const files = names.filter((name) => field(`${name}File`));
  if (inline.length > 0 && files.length > 0)
    return fail(`give ${inline[0]} and the like as text or as files, not both`);
  const [authorities, certificate, key] = names.map((name): Pem | undefined => {
    if (field(name)) return { text: field(name) };
    return field(`${name}File`) ? { file: field(`${name}File`) } : undefined;
  });
  return checked(endpoints, { authorities, certificate, key });
}

function specOf(text: string): Result<Readonly<Record<string, unknown>>> {
  let read: unknown;
  try {
    read = parse(text);
  } catch (cause) {
    return fail(`no YAML: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const { kind, spec } = (read ?? {}) as { kind?: unknown; spec?: unknown };
  if (kind !== 'CalicoAPIConfig') return fail(`kind is '${String(kind)}', not CalicoAPIConfig`);
  return ok((spec ?? {}) as Readonly<Record<string, unknown>>);
}

const listOf = (text: string | undefined): readonly string[] =>
  (text ?? '')
    .split(',')
    .map((endpoint) => endpoint.trim())
    .filter(Boolean);

interface Pems {
  readonly authorities: Pem | undefined;
  readonly certificate: Pem | undefined;
  readonly key: Pem | undefined;
}

function checked(endpoints: readonly string[], pems: Pems): Result<EtcdSettings> {
  if (!pems.certificate !== !pems.key)
    return fail('a client certificate and its key go together: give both or none');
  const given = Object.entries(pems).filter(([, pem]) => pem !== undefined);
  if (given.length > 0 && endpoints.some((endpoint) => !endpoint.startsWith('https://')))
    return fail(`certificates are given, but ${endpoints.join(',')} is not https`);
  return ok({ endpoints, ...Object.fromEntries(given) });
}
