// The Secrets with calico-etcd's certificates: made where they are missing, made anew where they must
// be. All trust whoever signs now, signed before or will sign, so that old and new certificates trust one
// another meanwhile (authority.ts).
import { OpError } from '../../base/op-error.ts';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { type Authorities, bundleOf, type KeyPair, type MemberPod, turnOf } from './authority.ts';
import { factsOf, isAuthority, issue, makeAuthority } from './issue.io.ts';
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

/** Another authority, where that is asked for. */
export interface AuthorityWanted {
  /** Any text; another one than before asks for it. */
  readonly rotation: string;
  readonly settleMilliseconds: number;
  /** Pods of members. */
  members(): Promise<readonly MemberPod[]>;
}

/** Makes what is missing or must be new, for members and clients. */
export async function ensureCertificates(
  place: Place,
  reached: Reached,
  another?: AuthorityWanted,
): Promise<void> {
  const authorities = await ensureAuthority(place, another);
  const { rotation } = reached;
  await ensureCertificate(place, authorities, SECRETS.server, () => ({ ...MEMBER, ...reached }));
  await ensureCertificate(place, authorities, SECRETS.client, () => ({ ...CLIENT, rotation }));
}

/** Adds an address to what the members' certificate has. */
export async function ensureAddress(place: Place, address: string): Promise<void> {
  const authorities = await ensureAuthority(place);
  await ensureCertificate(place, authorities, SECRETS.server, (found) => ({
    ...MEMBER,
    addresses: [...new Set([...(found?.addresses ?? []), address])],
    names: found?.names ?? [],
    rotation: found?.rotation ?? '',
  }));
}

const MEMBER = { commonName: 'calico-etcd', serves: true };
const CLIENT = { commonName: 'calico-etcd-client', serves: false, addresses: [], names: [] };

async function ensureAuthority(place: Place, another?: AuthorityWanted): Promise<Authorities> {
  const { authority: name } = SECRETS;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const secret = await read(place, name);
    const found = secret && authoritiesIn(secret);
    // Never replaced: all certificates would be worthless at once.
    if (secret && !(found && isAuthority(found.current)))
      throw new OpError(`Secret ${name}`, 'no authority is in it: mend it, or delete it');
    if (secret && found) {
      const now = await takeTurn(place, secret, found, another);
      if (now) return now;
      continue;
    }
    const current = await makeAuthority(name, place.now());
    const made = { current, since: place.now(), asked: another?.rotation ?? '' };
    if (await create(place, name, dataOf(made), annotationsOf(made))) {
      place.say(`Secret ${name}: made`);
      return made;
    }
  }
  throw new OpError(`Secret ${name}`, 'it changes all the time');
}

/** The authorities after the turn that is due; undefined: somebody else changed them. */
async function takeTurn(
  place: Place,
  secret: Secret,
  found: Authorities,
  another: AuthorityWanted | undefined,
): Promise<Authorities | undefined> {
  if (!another) return found;
  const { rotation: wanted, settleMilliseconds } = another;
  const members = found.next ? await another.members() : [];
  const turn = turnOf(found, { wanted, now: place.now(), settleMilliseconds, members });
  const { name } = secret.metadata;
  if (turn.kind === 'wait') place.say(`Secret ${name}: the change goes on later: ${turn.why}`);
  if (turn.kind === 'none' || turn.kind === 'wait') return found;
  const next = await afterTurn(turn.kind, found, wanted, place.now());
  const isDone = await replace(place, secret, dataOf(next), annotationsOf(next));
  if (isDone) place.say(`Secret ${name}: ${TURN_WORDS[turn.kind]}`);
  return isDone ? next : undefined;
}

const TURN_WORDS = {
  begin:
    'a next authority is made, and trusted beside the present one; members restart to trust it, ' +
    'and it signs from the next upgrade on',
  change: 'the next authority signs; the former one is trusted until the next upgrade',
  end: 'the former authority is trusted no more, by members from their next start on',
} as const;

async function afterTurn(
  kind: keyof typeof TURN_WORDS,
  { current, next, asked }: Authorities,
  wanted: string,
  now: number,
): Promise<Authorities> {
  if (kind === 'begin') {
    // Of another name: who checks a certificate looks for its signer by name.
    const made = await makeAuthority(`${SECRETS.authority}-${now}`, now);
    return { current, next: made, since: now, asked: wanted };
  }
  if (kind === 'change' && next)
    return { current: next, former: current.certificate, since: now, asked };
  return { current, since: now, asked };
}

const dataOf = ({ current, next, former }: Authorities): Texts => ({
  'ca.crt': current.certificate,
  'ca.key': current.key,
  ...(next && { 'next.crt': next.certificate, 'next.key': next.key }),
  ...(former && { 'former.crt': former }),
});

const [ASKED, SINCE] = ['calico-kit.io/authority', 'calico-kit.io/authority-since'];

const annotationsOf = ({ since, asked }: Authorities): Texts => ({
  [ASKED]: asked,
  [SINCE]: new Date(since).toISOString(),
});

function authoritiesIn(secret: Secret): Authorities {
  const { annotations = {} } = secret.metadata;
  const [next, former] = [pairOf(secret, 'next'), textOf(secret, 'former.crt')];
  return {
    current: pairOf(secret, 'ca'),
    ...(next.certificate && { next }),
    ...(former && { former }),
    since: Date.parse(annotations[SINCE] ?? '') || 0,
    asked: annotations[ASKED] ?? '',
  };
}

async function ensureCertificate(
  place: Place,
  authorities: Authorities,
  name: string,
  wantedBeside: (found: CertificateFacts | undefined) => CertificateWanted,
): Promise<void> {
  const { current } = authorities;
  const trusted = bundleOf(authorities);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const secret = await read(place, name);
    const found = secret && factsOf(pairOf(secret, 'tls'), current, rotationOf(secret));
    const wanted = wantedBeside(found);
    const why = whyRenew(wanted, found, place.now());
    const isTrusting = secret && textOf(secret, 'ca.crt') === trusted;
    if (why === undefined && isTrusting) {
      place.say(`Secret ${name}: kept, good until ${dayOf(found?.notAfter ?? 0)}`);
      return;
    }
    const pair =
      why === undefined && secret
        ? pairOf(secret, 'tls')
        : await issue(wanted, current, place.now());
    const data = { 'ca.crt': trusted, 'tls.crt': pair.certificate, 'tls.key': pair.key };
    const annotations = { [ROTATION]: wanted.rotation };
    const isDone = secret
      ? await replace(place, secret, data, annotations)
      : await create(place, name, data, annotations);
    if (!isDone) continue;
    place.say(
      `Secret ${name}: ${why ? `made, since ${why}` : 'kept, and trusts as the authorities are'}`,
    );
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

const textOf = (secret: Secret, key: string): string =>
  Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');

const pairOf = (secret: Secret, name: 'ca' | 'next' | 'tls'): KeyPair => ({
  certificate: textOf(secret, `${name}.crt`),
  key: textOf(secret, `${name}.key`),
});
