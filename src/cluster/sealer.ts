/**
 * Keeps what replicas store in Redis secret and whole: AES-256-CTR, and HMAC-SHA-256 over the result and its context, so that a text
 * cannot be moved from one place to another. One cipher encrypts text after text, each at its own place of an endless stream of key bytes;
 * to make a cipher for every text, as AES-GCM wants it, would cost several times as much.
 * Sealed: key id (1 byte), place in the stream (14), text, tag (16).
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { KeyedHash } from '../core/keyed-hash.js';
import type { ClusterKey } from './secrets.js';

const ALGORITHM = 'aes-256-ctr';
const KEY_BYTES = 32;
const BLOCK_BYTES = 16;
/** What tells streams apart, and how far into one a text begins. */
const STREAM_BYTES = 8;
const OFFSET_BYTES = 6;
const PLACE_BYTES = STREAM_BYTES + OFFSET_BYTES;
const HEAD_BYTES = 1 + PLACE_BYTES;
/** Half of an HMAC is as much as a tag of AES-GCM. */
const TAG_BYTES = 16;
/** A stream could be 2^68 bytes long. */
const MAX_STREAM_BYTES = 2 ** 36;

export class Sealer {
  readonly #keys: readonly SealingKey[];
  readonly #current: SealingKey;

  /**
   * @param keys The first seals, all of them open.
   * @throws {RangeError} there is none
   */
  constructor(keys: readonly ClusterKey[]) {
    this.#keys = keys.map((key) => new SealingKey(key));
    const [current] = this.#keys;
    if (current === undefined) throw new RangeError('at least one sealing key is needed');
    this.#current = current;
  }

  /** @param context Where the text belongs; it opens with the same context only. */
  seal(plain: Buffer, context: string): Buffer {
    return this.#current.seal(plain, context);
  }

  /** @returns undefined when it was not sealed so by a replica of ours, or for another context */
  open(sealed: Buffer, context: string): Buffer | undefined {
    if (sealed.length < HEAD_BYTES + TAG_BYTES) return undefined;
    for (const key of this.#keys) {
      const plain = key.keyId === sealed[0] ? key.open(sealed, context) : undefined;
      if (plain !== undefined) return plain;
    }
    return undefined;
  }
}

class SealingKey {
  readonly keyId: number;
  readonly #cipherKey: Buffer;
  readonly #mac: KeyedHash;
  readonly #stream: KeyStream;

  constructor({ keyId, key }: ClusterKey) {
    this.keyId = keyId;
    this.#cipherKey = derive(key, 'cipher');
    this.#mac = new KeyedHash(derive(key, 'mac'));
    this.#stream = new KeyStream(this.#cipherKey);
  }

  seal(plain: Buffer, context: string): Buffer {
    const tagAt = HEAD_BYTES + plain.length;
    const sealed = Buffer.allocUnsafe(tagAt + TAG_BYTES);
    sealed[0] = this.keyId;
    this.#stream.encrypt(plain, sealed, 1);
    sealed.write(this.#tagOf(sealed.subarray(0, tagAt), context), tagAt, TAG_BYTES, 'hex');
    return sealed;
  }

  open(sealed: Buffer, context: string): Buffer | undefined {
    const tagAt = sealed.length - TAG_BYTES;
    const tag = Buffer.from(this.#tagOf(sealed.subarray(0, tagAt), context), 'hex');
    if (!timingSafeEqual(tag.subarray(0, TAG_BYTES), sealed.subarray(tagAt))) return undefined;
    return decrypt(this.#cipherKey, sealed.subarray(1, tagAt));
  }

  #tagOf(bytes: Buffer, context: string): string {
    return this.#mac.boundHex(context, bytes);
  }
}

function derive(key: Buffer, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', use, KEY_BYTES));
}

/** Key bytes that no other replica has, and of which none is used twice. */
class KeyStream {
  readonly #key: Buffer;
  /** Random: replicas do not know of each other. */
  readonly #name = Buffer.alloc(STREAM_BYTES);
  #cipher: ReturnType<typeof createCipheriv> | undefined;
  #offset = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Writes the place, and behind it the text, to `target`. */
  encrypt(plain: Buffer, target: Buffer, at: number): void {
    if (this.#cipher === undefined || this.#offset + plain.length > MAX_STREAM_BYTES) this.#cipher = this.#begin();
    this.#name.copy(target, at);
    target.writeUIntBE(this.#offset, at + STREAM_BYTES, OFFSET_BYTES);
    this.#offset += plain.length;
    this.#cipher.update(plain).copy(target, at + PLACE_BYTES);
  }

  #begin(): ReturnType<typeof createCipheriv> {
    randomBytes(STREAM_BYTES).copy(this.#name);
    this.#offset = 0;
    return createCipheriv(ALGORITHM, this.#key, counterBlock(this.#name, 0));
  }
}

/** @param bytes The place, and the text behind it. */
function decrypt(key: Buffer, bytes: Buffer): Buffer {
  const offset = bytes.readUIntBE(STREAM_BYTES, OFFSET_BYTES);
  const within = offset % BLOCK_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, counterBlock(bytes, (offset - within) / BLOCK_BYTES));
  decipher.update(Buffer.alloc(within));
  return decipher.update(bytes.subarray(PLACE_BYTES));
}

/** What AES-CTR begins with to give the block of this number. */
function counterBlock(stream: Buffer, block: number): Buffer {
  const counter = Buffer.alloc(BLOCK_BYTES);
  stream.copy(counter, 0, 0, STREAM_BYTES);
  counter.writeUIntBE(block, BLOCK_BYTES - OFFSET_BYTES, OFFSET_BYTES);
  return counter;
}
