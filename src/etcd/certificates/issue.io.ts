// Makes and reads the certificates: an authority, and what it signs. Keys are of P-256; the library
// writes X.509, the keys and signatures are Node's.
import 'reflect-metadata';
import { createPrivateKey, type webcrypto, X509Certificate } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509Certificate as X509Object,
} from '@peculiar/x509';
import type { KeyPair } from './authority.ts';
import type { CertificateFacts, CertificateWanted } from './plan.ts';

const DAY_MILLISECONDS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 365;
/** Clocks of nodes differ. */
const EARLIER_MILLISECONDS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new authority that signs itself. `now` in milliseconds since 1970. */
export async function makeAuthority(commonName: string, now: number): Promise<KeyPair> {
  const keys = await makeKeys();
  const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}`,
    serialNumber: serialNumber(),
    notBefore: new Date(now - EARLIER_MILLISECONDS),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY_MILLISECONDS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(usages, true),
    ],
  });
  return { certificate: pemOf(certificate), key: await pemOfKey(keys.privateKey) };
}

/** A certificate that the authority signs; it ends with the authority at the latest. */
export async function issue(
  wanted: CertificateWanted,
  authority: KeyPair,
  now: number,
): Promise<KeyPair> {
  const keys = await makeKeys();
  const signer = new X509Object(authority.certificate);
  const last = Math.min(now + CERTIFICATE_DAYS * DAY_MILLISECONDS, signer.notAfter.getTime());
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${wanted.commonName}`,
    issuer: signer.subject,
    serialNumber: serialNumber(),
    notBefore: new Date(now - EARLIER_MILLISECONDS),
    notAfter: new Date(last),
    publicKey: keys.publicKey,
    signingKey: await signingKey(authority.key),
    signingAlgorithm: ALGORITHM,
    extensions: extensionsOf(wanted),
  });
  return { certificate: pemOf(certificate), key: await pemOfKey(keys.privateKey) };
}

function extensionsOf({ serves, addresses, names }: CertificateWanted): Extension[] {
  const { clientAuth, serverAuth } = ExtendedKeyUsage;
  const alternatives = [
    ...addresses.map((value) => ({ type: 'ip', value }) as const),
    ...names.map((value) => ({ type: 'dns', value }) as const),
  ];
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    // Members call one another: each is a client too.
    new ExtendedKeyUsageExtension(serves ? [serverAuth, clientAuth] : [clientAuth]),
    ...(alternatives.length > 0 ? [new SubjectAlternativeNameExtension(alternatives)] : []),
  ];
}

/** What a pair is; undefined when it cannot be read. */
export function factsOf(
  pair: Partial<KeyPair>,
  authority: KeyPair,
  rotation: string,
): CertificateFacts | undefined {
  try {
    const certificate = new X509Certificate(pair.certificate ?? '');
    const signer = new X509Certificate(authority.certificate);
    const alternatives = (certificate.subjectAltName ?? '').split(', ');
    const of = (kind: string): readonly string[] =>
      alternatives.filter((one) => one.startsWith(kind)).map((one) => one.slice(kind.length));
    return {
      notBefore: certificate.validFromDate.getTime(),
      notAfter: certificate.validToDate.getTime(),
      addresses: of('IP Address:'),
      names: of('DNS:'),
      isOfAuthority:
        certificate.verify(signer.publicKey) &&
        certificate.checkPrivateKey(createPrivateKey(pair.key ?? '')),
      rotation,
    };
  } catch {
    return undefined;
  }
}

/** Whether both can be read and belong together. */
export function isAuthority({ certificate, key }: Partial<KeyPair>): boolean {
  try {
    const read = new X509Certificate(certificate ?? '');
    return read.ca && read.checkPrivateKey(createPrivateKey(key ?? ''));
  } catch {
    return false;
  }
}

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(ALGORITHM, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;

function signingKey(pem: string): Promise<webcrypto.CryptoKey> {
  const bytes = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', new Uint8Array(bytes), ALGORITHM, false, ['sign']);
}

const pemOf = (certificate: X509Object): string => `${certificate.toString('pem')}\n`;

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

/** 128 random bits, positive (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
