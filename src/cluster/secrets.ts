/**
 * Every key that replicas share, derived from `cluster.secret`: one secret, one independent key per purpose.
 * What the keys are used for is the business of those who ask for them.
 */
import { createHash, hkdfSync } from 'node:crypto';

export type KeyPurpose = 'session-id' | 'payload' | 'forward';

export interface ClusterKey {
  /** Tells keys apart while one takes the place of another; 0 to 255. Two keys may share one: try both. */
  readonly keyId: number;
  /** 32 bytes. */
  readonly key: Buffer;
}

const KEY_BYTES = 32;
/** Keys of another product that is given the same secret have nothing to do with ours. */
const SALT = 'mcp-gateway replicas 1';

export class ClusterSecrets {
  readonly #secrets: readonly string[];

  /**
   * @param secrets The current one first; the others still open what was made before it took their place.
   * @throws {RangeError} there is none, or one is empty
   */
  constructor(secrets: readonly string[]) {
    this.#secrets = [...new Set(secrets)];
    if (this.#secrets.length === 0 || this.#secrets.includes('')) throw new RangeError('a cluster secret is needed');
  }

  /** In the order of the secrets; at least one. */
  keysFor(purpose: KeyPurpose): readonly ClusterKey[] {
    return this.#secrets.map((secret) => {
      const key = Buffer.from(hkdfSync('sha256', secret, SALT, purpose, KEY_BYTES));
      return { keyId: keyIdOf(key), key };
    });
  }
}

/** A digest of the key says nothing about it that would help to guess it. */
function keyIdOf(key: Buffer): number {
  return createHash('sha256').update('key id').update(key).digest().readUInt8();
}
