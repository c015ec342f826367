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
const SEALED_BYTES = 1 + NONCE_BYTES + PLAIN_BYTES + TAG_BYTES;
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
    const random = this.#random.take(NONCE_BYTES + SERIAL_BYTES);
    const nonce = random.subarray(0, NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, key, nonce);
    cipher.setAAD(Buffer.of(keyId));
    const plain = Buffer.concat([this.#replica, bindingOf(route, principalId), random.subarray(NONCE_BYTES)]);
    const sealed = Buffer.concat([Buffer.of(keyId), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
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

  take(count: number): Buffer {
    if (this.#pool.length < count) this.#pool = randomBytes(RANDOM_POOL_BYTES);
    const bytes = this.#pool.subarray(0, count);
    this.#pool = this.#pool.subarray(count);
    return bytes;
  }
}

function unseal(sealed: Buffer, key: Buffer): Buffer | undefined {
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(1, 1 + NONCE_BYTES));
  decipher.setAAD(sealed.subarray(0, 1));
  decipher.setAuthTag(sealed.subarray(SEALED_BYTES - TAG_BYTES));
  try {
    return Buffer.concat([
      decipher.update(sealed.subarray(1 + NONCE_BYTES, SEALED_BYTES - TAG_BYTES)),
      decipher.final(),
    ]);
  } catch {
    return undefined;
  }
}

/** NUL cannot stand in either part, so no two pairs give one digest. */
function bindingOf(route: string, principalId: string): Buffer {
  return createHash('sha256').update(`${route}\0${principalId}`).digest().subarray(0, BINDING_BYTES);
}
