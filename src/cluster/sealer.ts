/**
 * Keeps what replicas store in Redis secret and whole: AES-256-GCM, bound to a context so that a text cannot be moved
 * from one place to another. Sealed: key id (1 byte), nonce (12), text, tag (16).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { ClusterKey } from './secrets.js';

const ALGORITHM = 'aes-256-gcm';
const PREFIX_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES;
const COUNTER_END = 2 ** 32;

export class Sealer {
  readonly #keys: readonly ClusterKey[];
  readonly #current: ClusterKey;
  readonly #nonces = new Nonces();

  /**
   * @param keys The first seals, all of them open.
   * @throws {RangeError} there is none
   */
  constructor(keys: readonly ClusterKey[]) {
    const [current] = keys;
    if (current === undefined) throw new RangeError('at least one sealing key is needed');
    this.#keys = keys;
    this.#current = current;
  }

  /** @param context Where the text belongs; it opens with the same context only. */
  seal(plain: Buffer, context: string): Buffer {
    const { keyId, key } = this.#current;
    const sealed = Buffer.allocUnsafe(HEAD_BYTES + plain.length + TAG_BYTES);
    sealed[0] = keyId;
    this.#nonces.writeNext(sealed, 1);
    const cipher = createCipheriv(ALGORITHM, key, sealed.subarray(1, HEAD_BYTES));
    cipher.setAAD(Buffer.from(context));
    cipher.update(plain).copy(sealed, HEAD_BYTES);
    cipher.final();
    cipher.getAuthTag().copy(sealed, HEAD_BYTES + plain.length);
    return sealed;
  }

  /** @returns undefined when it was not sealed so by a replica of ours, or for another context */
  open(sealed: Buffer, context: string): Buffer | undefined {
    if (sealed.length < HEAD_BYTES + TAG_BYTES) return undefined;
    for (const { keyId, key } of this.#keys) {
      const plain = keyId === sealed[0] ? openWith(key, sealed, context) : undefined;
      if (plain !== undefined) return plain;
    }
    return undefined;
  }
}

function openWith(key: Buffer, sealed: Buffer, context: string): Buffer | undefined {
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(1, HEAD_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(tagAt));
  try {
    const plain = decipher.update(sealed.subarray(HEAD_BYTES, tagAt));
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

/**
 * Nonces that no other replica uses: random bytes for every 2^32 of them, and a count. With all twelve bytes random,
 * a busy fleet would after some weeks have sealed more under one key than random nonces are good for.
 */
class Nonces {
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #count = COUNTER_END;

  writeNext(target: Buffer, offset: number): void {
    if (this.#count === COUNTER_END) {
      randomBytes(PREFIX_BYTES).copy(this.#prefix);
      this.#count = 0;
    }
    this.#prefix.copy(target, offset);
    target.writeUInt32BE(this.#count, offset + PREFIX_BYTES);
    this.#count += 1;
  }
}
