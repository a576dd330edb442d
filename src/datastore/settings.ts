// Where the datastore is, and how a TLS connection to it proves itself: from a program's environment,
// in the words of Calico's programs.
import { fail, ok, type Result } from '../base/result.ts';

/** A PEM as text, or the file that holds it. */
export type Pem = { readonly text: string } | { readonly file: string };

export interface EtcdSettings {
  readonly endpoints: readonly string[];
  /** Absent: the system's. */
  readonly authorities?: Pem;
  readonly certificate?: Pem;
  readonly key?: Pem;
}

type Environment = Readonly<Record<string, string | undefined>>;

const EXAMPLE = 'http://10.96.232.136:6666';

/**
 * By ETCD_ENDPOINTS; ETCD_CA_CERT_FILE, ETCD_CERT_FILE and ETCD_KEY_FILE, or the PEM text itself in
 * ETCD_CA_CERT, ETCD_CERT and ETCD_KEY. Errors: what is wrong, by name.
 */
export function etcdSettings(env: Environment): Result<EtcdSettings> {
  if (env['ETCD_USERNAME'])
    return fail(
      'ETCD_USERNAME is not supported: use a certificate (ETCD_CERT_FILE, ETCD_KEY_FILE)',
    );
  const endpoints = listOf(env['ETCD_ENDPOINTS']);
  if (endpoints.length === 0) return fail(`ETCD_ENDPOINTS: empty; give e.g. ${EXAMPLE}`);
  const names = ['ETCD_CA_CERT', 'ETCD_CERT', 'ETCD_KEY'] as const;
  for (const name of names)
    if (env[name] && env[`${name}_FILE`])
      return fail(`${name} and ${name}_FILE are both given: give the PEM or its file`);
  const [authorities, certificate, key] = names.map((name): Pem | undefined => {
    const [text, file] = [env[name], env[`${name}_FILE`]];
    if (text) return { text };
    return file ? { file } : undefined;
  });
  return checkedSettings(endpoints, { authorities, certificate, key });
}

/** Of a comma-separated text. */
export const listOf = (text: string | undefined): readonly string[] =>
  (text ?? '')
    .split(',')
    .map((endpoint) => endpoint.trim())
    .filter(Boolean);

interface Pems {
  readonly authorities: Pem | undefined;
  readonly certificate: Pem | undefined;
  readonly key: Pem | undefined;
}

/** Errors: half a certificate, or certificates for a connection without TLS. */
export function checkedSettings(endpoints: readonly string[], pems: Pems): Result<EtcdSettings> {
  if (!pems.certificate !== !pems.key)
    return fail('a client certificate and its key go together: give both or none');
  const given = Object.entries(pems).filter(([, pem]) => pem !== undefined);
  if (given.length > 0 && endpoints.some((endpoint) => !endpoint.startsWith('https://')))
    return fail(`certificates are given, but ${endpoints.join(',')} is not https`);
  return ok({ endpoints, ...Object.fromEntries(given) });
}
