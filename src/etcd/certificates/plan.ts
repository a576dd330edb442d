// When a certificate of calico-etcd is made anew: what it must have, against what it has.

/** What a certificate is for: a member that serves and calls its peers, or a client. */
export interface CertificateWanted {
  readonly commonName: string;
  /** Under which it is reached: IP addresses and names. */
  readonly addresses: readonly string[];
  readonly names: readonly string[];
  readonly serves: boolean;
  /** Any text; another one than before asks for a new certificate. */
  readonly rotation: string;
}

/** What is known of a certificate that is there. Times in milliseconds since 1970. */
export interface CertificateFacts {
  readonly notBefore: number;
  readonly notAfter: number;
  readonly addresses: readonly string[];
  readonly names: readonly string[];
  /** Signed by the authority there is now, with the key beside it. */
  readonly isOfAuthority: boolean;
  readonly rotation: string;
}

/** It is made anew once so much of its life is over. */
const SPENT = 2 / 3;

/** Why a certificate must be made anew; undefined: it is good. */
export function whyRenew(
  wanted: CertificateWanted,
  found: CertificateFacts | undefined,
  now: number,
): string | undefined {
  if (!found) return 'there is none';
  if (!found.isOfAuthority) return 'it is not of the authority';
  if (found.rotation !== wanted.rotation) return `rotation "${wanted.rotation}" is asked for`;
  const missing = [
    ...wanted.addresses.filter((address) => !found.addresses.includes(address)),
    ...wanted.names.filter((name) => !found.names.includes(name)),
  ];
  if (missing.length > 0) return `it lacks ${missing.join(', ')}`;
  const spent = (now - found.notBefore) / (found.notAfter - found.notBefore);
  return spent > SPENT ? `it ends on ${dayOf(found.notAfter)}` : undefined;
}

/** `2027-01-31`. */
export const dayOf = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().slice(0, 10);
