/** Public keys of an issuer, read strictly: a set that would let nothing or anything through is refused as a whole. */
import { type CryptoKey, createLocalJWKSet, type FlattenedJWSInput, type JWK, type JWSHeaderParameters } from 'jose';
import { z } from 'zod';

import { KeySetInvalidError } from './errors.js';

/** Finds the key that a token claims to be signed with. Embedded keys and key URLs of the token are never looked at. */
export interface KeySource {
  /**
   * @throws {JWKSNoMatchingKey} the issuer publishes no such key
   * @throws {JWKSMultipleMatchingKeys} the token names no key and several fit
   * @throws {KeySetUnavailableError} no key set could be read so far
   */
  find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey>;
}

export type KeySet = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

export const MAX_KEY_SET_BYTES = 256 * 1024;

const PUBLIC_KEY_TYPES: ReadonlySet<unknown> = new Set(['RSA', 'EC', 'OKP']);

const keySetDocument = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

/**
 * @param source File or URL, for the message.
 * @throws {KeySetInvalidError} no JSON, no key set, or no public signature key in it
 */
export function parseKeySet(text: string, source: string): KeySet {
  const parsed = keySetDocument.safeParse(parseJson(text, source));
  if (!parsed.success) throw new KeySetInvalidError(source, 'is not a JSON Web Key Set');
  const keys = parsed.data.keys.filter(isPublicKey);
  if (keys.length === 0) throw new KeySetInvalidError(source, 'contains no public key');
  return createLocalJWKSet({ keys });
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KeySetInvalidError(source, 'is not JSON', { cause });
  }
}

/** Shared secrets and private keys have no place in what an issuer publishes. */
function isPublicKey(key: Record<string, unknown>): key is JWK & Record<string, unknown> {
  return PUBLIC_KEY_TYPES.has(key.kty) && key.d === undefined && key.k === undefined;
}
