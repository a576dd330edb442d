// The Secrets with calico-etcd's certificates: made where they are missing, made anew where they must
// be. The authority stays, so that old and new certificates trust one another meanwhile.
import { OpError } from '../../base/op-error.ts';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { factsOf, isAuthority, issue, type KeyPair, makeAuthority } from './issue.io.ts';
import { type CertificateFacts, type CertificateWanted, dayOf, whyRenew } from './plan.ts';

/** Names of the Secrets. */
export const SECRETS = {
  authority: 'calico-etcd-ca',
  server: 'calico-etcd-server',
  client: 'calico-etcd-client',
} as const;

const ROTATION = 'calico-kit.io/rotation';
/** Others may write the same Secret: it is read again so many times. */
const TRIES_MAX = 10;

export interface Secret {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** In base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface Place {
  readonly objects: SharedObjects;
  readonly namespace: string;
  readonly now: () => number;
  /** A line for each Secret: what became of it. */
  readonly say: (words: string) => void;
}

export interface Reached {
  /** Under which the members are reached. */
  readonly addresses: readonly string[];
  readonly names: readonly string[];
  readonly rotation: string;
}

/** Makes what is missing or must be new, for members and clients. */
export async function ensureCertificates(place: Place, reached: Reached): Promise<void> {
  const authority = await ensureAuthority(place);
  const { rotation } = reached;
  await ensureCertificate(place, authority, SECRETS.server, () => ({ ...MEMBER, ...reached }));
  await ensureCertificate(place, authority, SECRETS.client, () => ({ ...CLIENT, rotation }));
}

/** Adds an address to what the members' certificate has. */
export async function ensureAddress(place: Place, address: string): Promise<void> {
  const authority = await ensureAuthority(place);
  await ensureCertificate(place, authority, SECRETS.server, (found) => ({
    ...MEMBER,
    addresses: [...new Set([...(found?.addresses ?? []), address])],
    names: found?.names ?? [],
    rotation: found?.rotation ?? '',
  }));
}

const MEMBER = { commonName: 'calico-etcd', serves: true };
const CLIENT = { commonName: 'calico-etcd-client', serves: false, addresses: [], names: [] };

async function ensureAuthority(place: Place): Promise<KeyPair> {
  const { authority: name } = SECRETS;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const secret = await read(place, name);
    const pair = pairOf(secret, 'ca');
    // Never replaced: all certificates would be worthless at once.
    if (secret && !isAuthority(pair))
      throw new OpError(`Secret ${name}`, 'no authority is in it: mend it, or delete it');
    if (secret) return pair as KeyPair;
    const made = await makeAuthority(name, place.now());
    const data = { 'ca.crt': made.certificate, 'ca.key': made.key };
    if (await create(place, name, data, {})) {
      place.say(`Secret ${name}: made`);
      return made;
    }
  }
  throw new OpError(`Secret ${name}`, 'it changes all the time');
}

async function ensureCertificate(
  place: Place,
  authority: KeyPair,
  name: string,
  wantedBeside: (found: CertificateFacts | undefined) => CertificateWanted,
): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const secret = await read(place, name);
    const found = secret && factsOf(pairOf(secret, 'tls'), authority, rotationOf(secret));
    const wanted = wantedBeside(found);
    const why = whyRenew(wanted, found, place.now());
    if (why === undefined) {
      place.say(`Secret ${name}: kept, good until ${dayOf(found?.notAfter ?? 0)}`);
      return;
    }
    const made = await issue(wanted, authority, place.now());
    const data = {
      'ca.crt': authority.certificate,
      'tls.crt': made.certificate,
      'tls.key': made.key,
    };
    const annotations = { [ROTATION]: wanted.rotation };
    const isDone = secret
      ? await replace(place, secret, data, annotations)
      : await create(place, name, data, annotations);
    if (!isDone) continue;
    place.say(`Secret ${name}: made, since ${why}`);
    return;
  }
  throw new OpError(`Secret ${name}`, 'it changes all the time');
}

const collection = ({ namespace }: Place): string => `/api/v1/namespaces/${namespace}/secrets`;

const read = (place: Place, name: string): Promise<Secret | undefined> =>
  place.objects.get<Secret>(`${collection(place)}/${name}`);

type Texts = Readonly<Record<string, string>>;

const encoded = (data: Texts): Texts =>
  Object.fromEntries(
    Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  );

const create = (place: Place, name: string, data: Texts, annotations: Texts): Promise<boolean> =>
  place.objects.createIfAbsent(collection(place), {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name, labels: { 'k8s-app': 'calico-etcd' }, annotations },
    data: encoded(data),
  });

const replace = (
  place: Place,
  { metadata, ...rest }: Secret,
  data: Texts,
  annotations: Texts,
): Promise<boolean> =>
  place.objects.replace(`${collection(place)}/${metadata.name}`, {
    ...rest,
    metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } },
    data: encoded(data),
  });

const rotationOf = (secret: Secret | undefined): string =>
  secret?.metadata.annotations?.[ROTATION] ?? '';

function pairOf(secret: Secret | undefined, name: 'ca' | 'tls'): Partial<KeyPair> {
  const text = (key: string): string =>
    Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8');
  return { certificate: text(`${name}.crt`), key: text(`${name}.key`) };
}
