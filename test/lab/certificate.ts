// A key and a certificate that signs itself: a server's, a client's and their authority in one.
import { join } from 'node:path';
import { run } from './command.ts';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Writes `<name>.pem` and `<name>-key.pem` into the folder; for a server with the address. */
export function makeCertificate(folder: string, address: string, name = 'etcd'): Certificate {
  const [certificate, key] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=IP:${address}`];
  const out = ['-keyout', key, '-out', certificate];
  run(['openssl', 'req', '-x509', ...curve, '-days', '2', ...names, ...out]);
  return { certificate, key };
}

/** etcd's flags: TLS alone, and every client must show the certificate. */
export const etcdFlags = ({ certificate, key }: Certificate): readonly string[] => [
  '--client-cert-auth',
  ...['--cert-file', certificate, '--key-file', key, '--trusted-ca-file', certificate],
];

/** A program's environment for it. */
export const etcdFiles = ({ certificate, key }: Certificate): Readonly<Record<string, string>> => ({
  ETCD_CA_CERT_FILE: certificate,
  ETCD_CERT_FILE: certificate,
  ETCD_KEY_FILE: key,
});
