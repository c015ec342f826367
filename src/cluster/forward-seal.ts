/**
 * Makes a forwarded request one that only a replica of ours can have made, for one replica, once: a MAC over its envelope, its time, a nonce
 * and the digest of its body, so that whoever does not know the secret is refused before a byte of a body is read.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.js';
import { KeyedHash } from '../core/keyed-hash.js';
import { decodeEnvelope, type Envelope } from './envelope.js';
import { digestOf, type ForwardContext } from './forward-context.js';
import { ReplayGuard } from './replay-guard.js';
import type { ClusterKey } from './secrets.js';

export const ENVELOPE_HEADER = 'x-mcp-gateway-forward';
export const SEAL_HEADER = 'x-mcp-gateway-seal';
const NONCE_PREFIX_BYTES = 12;
const SEAL_PARTS = 5;
/** Envelopes that are remembered: as many sessions of others as are busy at the same time, about. */
const MAX_KNOWN = 5000;
/** Larger ones are read anew each time. */
const MAX_KNOWN_CHARACTERS = 4096;

export interface BodyFacts {
  readonly bytes: number;
  /** Digest in base64url; empty when there are no bytes. */
  readonly sha256: string;
}

const NO_BODY: BodyFacts = { bytes: 0, sha256: '' };

export interface SealDependencies {
  readonly keys: readonly ClusterKey[];
  readonly clock: Clock;
}

/** Signs requests of this replica. */
export class ForwardSigner {
  readonly #mac: KeyedHash;
  readonly #clock: Clock;
  readonly #noncePrefix = randomBytes(NONCE_PREFIX_BYTES).toString('base64url');
  #nonceCount = 0;

  /** @throws {RangeError} there is no key */
  constructor({ keys, clock }: SealDependencies) {
    const [current] = keys;
    if (current === undefined) throw new RangeError('at least one key is needed');
    this.#mac = new KeyedHash(current.key);
    this.#clock = clock;
  }

  /** @returns the two headers, as `name: value\r\n` lines */
  sign(context: ForwardContext, body: Buffer | undefined): string {
    this.#nonceCount += 1;
    const { bytes, sha256 } = bodyFacts(body);
    const at = this.#clock.wallTimeMs().toString(36);
    const said = `${at}.${this.#noncePrefix}${this.#nonceCount.toString(36)}.${bytes}.${sha256}`;
    const mac = this.#mac.hex(sealedText(context.digest, said));
    return `${ENVELOPE_HEADER}: ${context.text}\r\n${SEAL_HEADER}: ${said}.${mac}\r\n`;
  }
}

export interface VerifiedHead {
  readonly envelope: Envelope;
  /** Of the body that was sent. */
  readonly body: BodyFacts;
}

interface Known {
  readonly envelope: Envelope;
  readonly target: string;
  readonly digest: string;
}

/** Tells requests of other replicas, meant for this one, from everything else. */
export class ForwardVerifier {
  readonly #replicaId: string;
  readonly #macs: readonly KeyedHash[];
  readonly #clock: Clock;
  readonly #guard = new ReplayGuard();
  /** Genuine ones, by their text. */
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN });

  constructor(replicaId: string, { keys, clock }: SealDependencies) {
    this.#replicaId = replicaId;
    this.#macs = keys.map(({ key }) => new KeyedHash(key));
    this.#clock = clock;
  }

  /**
   * @param target As it is on the wire: path and query.
   * @returns undefined when the request must be refused; a second time it always must be
   */
  verify(
    method: string,
    target: string,
    received: Readonly<Record<string, string | string[] | undefined>>,
  ): VerifiedHead | undefined {
    const text = received[ENVELOPE_HEADER];
    const seal = received[SEAL_HEADER];
    if (typeof text !== 'string' || typeof seal !== 'string') return undefined;
    const remembered = this.#known.get(text);
    const digest = remembered?.digest ?? digestOf(text);
    if (!this.#isGenuine(digest, seal)) return undefined;
    const known = remembered ?? this.#read(text, digest);
    if (known === undefined || known.target !== target || known.envelope.method !== method) return undefined;
    const [at = '', nonce = '', bytes, sha256 = ''] = seal.split('.', SEAL_PARTS - 1);
    const isNew = this.#guard.admit(nonce, Number.parseInt(at, 36), this.#clock.wallTimeMs());
    return isNew ? { envelope: known.envelope, body: { bytes: Number(bytes), sha256 } } : undefined;
  }

  #isGenuine(digest: string, seal: string): boolean {
    const end = seal.lastIndexOf('.');
    const given = Buffer.from(seal.slice(end + 1), 'latin1');
    const text = sealedText(digest, seal.slice(0, Math.max(0, end)));
    return this.#macs.some((mac) => {
      const expected = Buffer.from(mac.hex(text), 'latin1');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }

  #read(text: string, digest: string): Known | undefined {
    const envelope = decodeEnvelope(text);
    if (envelope === undefined || envelope.to !== this.#replicaId) return undefined;
    const { path, query } = envelope;
    const known = { envelope, target: query === '' ? path : `${path}?${query}`, digest };
    if (text.length <= MAX_KNOWN_CHARACTERS) this.#known.set(text, known);
    return known;
  }
}

/** Whether `body` is the one that was sent. */
export function isIntact(body: Buffer, facts: BodyFacts): boolean {
  const { bytes, sha256 } = bodyFacts(body);
  return bytes === facts.bytes && sha256 === facts.sha256;
}

function bodyFacts(body: Buffer | undefined): BodyFacts {
  if (body === undefined || body.length === 0) return NO_BODY;
  return { bytes: body.length, sha256: hash('sha256', body, 'base64url') };
}

/** The digest has one length, so that no two pairs have one text. */
function sealedText(digest: string, said: string): string {
  return digest + said;
}
