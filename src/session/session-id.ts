/**
 * Session ids: sealed, so that a forged one is refused without a look at any store, and of constant size.
 * Inside stand the replica that minted the session and a digest of the route and the caller it is bound to.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const REPLICA_BYTES = 8;
const BINDING_BYTES = 16;
const SERIAL_BYTES = 8;
const PLAIN_BYTES = REPLICA_BYTES + BINDING_BYTES + SERIAL_BYTES;
/** Where each part of an id stands: the number of its key, nonce, sealed content, tag. */
const NONCE_AT = 1;
const SEALED_AT = NONCE_AT + NONCE_BYTES;
const TAG_AT = SEALED_AT + PLAIN_BYTES;
const SEALED_BYTES = TAG_AT + TAG_BYTES;
const RANDOM_POOL_BYTES = 4000;
const ALGORITHM = 'aes-256-gcm';

export interface SealingKey {
  /** Tells keys apart while one takes the place of another; 0 to 255. */
  readonly keyId: number;
  readonly key: Buffer;
}

export interface OpenedSessionId {
  /** The replica that minted it, 16 hex digits. */
  readonly replica: string;
  /** Whether it was made for this route and this caller. */
  isBoundTo(route: string, principalId: string): boolean;
}

/** A key nobody else has: ids of this process are good for this process. */
export function generateSealingKey(): SealingKey {
  return { keyId: 0, key: randomBytes(KEY_BYTES) };
}

export class SessionIds {
  readonly #keys: readonly SealingKey[];
  readonly #sealing: SealingKey;
  readonly #replica: Buffer;
  readonly #random = new RandomBytes();
  readonly #bindings = new Bindings();

  /** As ids name the replica that mints here. */
  readonly ownReplica: string;

  /** @param keys The first seals; the others open what was sealed before. At least one. */
  constructor(keys: readonly SealingKey[], replica: string) {
    const [sealing] = keys;
    if (sealing === undefined) throw new RangeError('at least one sealing key is needed');
    this.#sealing = sealing;
    this.#keys = keys;
    this.#replica = hashOf(replica);
    this.ownReplica = this.#replica.toString('hex');
  }

  /** Several keys may go by one id. */
  #unseal(sealed: Buffer): Buffer | undefined {
    for (const { keyId, key } of this.#keys) {
      const plain = keyId === sealed[0] ? unseal(sealed, key) : undefined;
      if (plain !== undefined) return plain;
    }
    return undefined;
  }

  /** A new id, unlike any other: 160 of its bits are random. */
  mint(route: string, principalId: string): string {
    const { keyId, key } = this.#sealing;
    const sealed = Buffer.allocUnsafe(SEALED_BYTES);
    sealed[0] = keyId;
    this.#random.fill(sealed, NONCE_AT, NONCE_BYTES);
    const plain = Buffer.allocUnsafe(PLAIN_BYTES);
    this.#replica.copy(plain);
    this.#bindings.of(route, principalId).copy(plain, REPLICA_BYTES);
    this.#random.fill(plain, REPLICA_BYTES + BINDING_BYTES, SERIAL_BYTES);
    const cipher = createCipheriv(ALGORITHM, key, sealed.subarray(NONCE_AT, SEALED_AT));
    cipher.setAAD(sealed.subarray(0, NONCE_AT));
    // Nothing is left for `final` to give out: the cipher works byte by byte.
    cipher.update(plain).copy(sealed, SEALED_AT);
    cipher.final();
    cipher.getAuthTag().copy(sealed, TAG_AT);
    return sealed.toString('base64url');
  }

  /** @returns what the id says, or undefined when it is none of ours */
  open(id: string): OpenedSessionId | undefined {
    const sealed = Buffer.from(id, 'base64url');
    // Comparing the text too leaves every id one spelling only.
    if (sealed.length !== SEALED_BYTES || sealed.toString('base64url') !== id) return undefined;
    const plain = this.#unseal(sealed);
    if (plain === undefined) return undefined;
    const binding = plain.subarray(REPLICA_BYTES, REPLICA_BYTES + BINDING_BYTES);
    return {
      replica: plain.subarray(0, REPLICA_BYTES).toString('hex'),
      isBoundTo: (route, principalId) => binding.equals(bindingOf(route, principalId)),
    };
  }
}

/** How ids name a replica: 16 hex digits. */
export function replicaHash(replica: string): string {
  return hashOf(replica).toString('hex');
}

function hashOf(replica: string): Buffer {
  return createHash('sha256').update(replica).digest().subarray(0, REPLICA_BYTES);
}

/** Asks the system for many bytes at once: each question costs as much as a hundred answers. No byte is given out twice. */
class RandomBytes {
  #pool = Buffer.alloc(0);
  #used = 0;

  fill(target: Buffer, at: number, count: number): void {
    if (this.#used + count > this.#pool.length) {
      this.#pool = randomBytes(RANDOM_POOL_BYTES);
      this.#used = 0;
    }
    this.#pool.copy(target, at, this.#used, this.#used + count);
    this.#used += count;
  }
}

/** Remembers the last digest: a caller often opens many sessions of one route. */
class Bindings {
  #route = '';
  #principalId = '';
  #digest: Buffer | undefined;

  of(route: string, principalId: string): Buffer {
    if (this.#digest !== undefined && this.#route === route && this.#principalId === principalId) return this.#digest;
    this.#route = route;
    this.#principalId = principalId;
    this.#digest = bindingOf(route, principalId);
    return this.#digest;
  }
}

function unseal(sealed: Buffer, key: Buffer): Buffer | undefined {
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(NONCE_AT, SEALED_AT));
  decipher.setAAD(sealed.subarray(0, NONCE_AT));
  decipher.setAuthTag(sealed.subarray(TAG_AT));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(SEALED_AT, TAG_AT)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/** NUL cannot stand in either part, so no two pairs give one digest. */
function bindingOf(route: string, principalId: string): Buffer {
  return createHash('sha256').update(`${route}\0${principalId}`).digest().subarray(0, BINDING_BYTES);
}
