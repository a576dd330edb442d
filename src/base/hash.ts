// Hashes that appear in names and comments of kernel objects. Pure: equal text, equal digest.
import { hash } from 'node:crypto';

type Algorithm = 'sha1' | 'sha224' | 'sha256' | 'sha3-224';

/** Digest as lower-case hex. */
export const hex = (algorithm: Algorithm, text: string | Uint8Array): string =>
  hash(algorithm, text, 'hex');

/** Digest as base64url without padding. */
export const base64url = (algorithm: Algorithm, text: string | Uint8Array): string =>
  hash(algorithm, text, 'base64url');

/** Digest as bytes. */
export const digest = (algorithm: Algorithm, text: string | Uint8Array): Uint8Array =>
  hash(algorithm, text, 'buffer');
