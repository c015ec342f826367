/**
 * Makes a forwarded request one that only a replica of ours can have made, for one replica, once: a MAC over its method,
 * path, query, envelope and passed headers. The envelope holds the digest of the body, so that whoever does not know
 * the secret is refused before a byte of a body is read.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { type BodyFacts, decodeEnvelope, type Envelope, encodeEnvelope, type ForwardFacts } from './envelope.js';
import { ReplayGuard } from './replay-guard.js';
import type { ClusterKey } from './secrets.js';

export const ENVELOPE_HEADER = 'x-mcp-gateway-forward';
export const MAC_HEADER = 'x-mcp-gateway-mac';
const NONCE_PREFIX_BYTES = 12;
const NO_BODY: BodyFacts = { bytes: 0, sha256: '' };

export interface RequestHead {
  readonly method: string;
  /** As it is on the wire, without query. */
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
}

/** Single values by lower-case name. */
export type PassedHeaders = ReadonlyMap<string, string>;

export interface SealDependencies {
  readonly keys: readonly ClusterKey[];
  readonly clock: Clock;
}

/** Signs requests of this replica. */
export class ForwardSigner {
  readonly #replicaId: string;
  readonly #key: Buffer;
  readonly #clock: Clock;
  readonly #noncePrefix = randomBytes(NONCE_PREFIX_BYTES).toString('base64url');
  #nonceCount = 0;

  /** @throws {RangeError} there is no key */
  constructor(replicaId: string, { keys, clock }: SealDependencies) {
    const [current] = keys;
    if (current === undefined) throw new RangeError('at least one key is needed');
    this.#replicaId = replicaId;
    this.#key = current.key;
    this.#clock = clock;
  }

  /** @returns the two headers, as `name: value\r\n` lines */
  sign(head: RequestHead, passed: PassedHeaders, to: string, facts: ForwardFacts, body: Buffer | undefined): string {
    this.#nonceCount += 1;
    const envelope: Envelope = {
      v: 1,
      to,
      from: this.#replicaId,
      at: this.#clock.wallTimeMs(),
      nonce: `${this.#noncePrefix}${this.#nonceCount.toString(36)}`,
      principal: facts.principal,
      ip: facts.ip,
      publicPrefix: facts.publicPrefix,
      ...(facts.flags === undefined ? {} : { flags: facts.flags }),
      body: bodyFacts(body),
    };
    const text = `${encodeEnvelope(envelope)};${[...passed.keys()].join(',')}`;
    const mac = macOf(this.#key, head, text, passed.values()).toString('base64url');
    return `${ENVELOPE_HEADER}: ${text}\r\n${MAC_HEADER}: ${mac}\r\n`;
  }
}

export interface VerifiedHead {
  readonly envelope: Envelope;
  /** Those that the sender passed on; others may have been added on the way. */
  readonly headers: PassedHeaders;
}

/** Tells requests of other replicas, meant for this one, from everything else. */
export class ForwardVerifier {
  readonly #replicaId: string;
  readonly #keys: readonly ClusterKey[];
  readonly #clock: Clock;
  readonly #guard = new ReplayGuard();

  constructor(replicaId: string, { keys, clock }: SealDependencies) {
    this.#replicaId = replicaId;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** @returns undefined when the request must be refused; a second time it always must be */
  verify(
    head: RequestHead,
    received: Readonly<Record<string, string | string[] | undefined>>,
  ): VerifiedHead | undefined {
    const text = received[ENVELOPE_HEADER];
    const mac = received[MAC_HEADER];
    if (typeof text !== 'string' || typeof mac !== 'string') return undefined;
    const headers = pick(text, received);
    if (headers === undefined || !this.#isGenuine(mac, head, text, headers)) return undefined;
    const envelope = decodeEnvelope(text.slice(0, text.indexOf(';')));
    if (envelope === undefined || envelope.to !== this.#replicaId) return undefined;
    return this.#guard.admit(envelope.nonce, envelope.at, this.#clock.wallTimeMs()) ? { envelope, headers } : undefined;
  }

  #isGenuine(mac: string, head: RequestHead, text: string, headers: PassedHeaders): boolean {
    const given = Buffer.from(mac, 'base64url');
    return this.#keys.some(({ key }) => {
      const expected = macOf(key, head, text, headers.values());
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }
}

/** Whether `body` is the one that was sent. */
export function isIntact(body: Buffer, facts: BodyFacts): boolean {
  const { bytes, sha256 } = bodyFacts(body);
  return bytes === facts.bytes && sha256 === facts.sha256;
}

function bodyFacts(body: Buffer | undefined): BodyFacts {
  if (body === undefined || body.length === 0) return NO_BODY;
  return { bytes: body.length, sha256: createHash('sha256').update(body).digest('base64url') };
}

/** @returns the headers that the text names, in its order; undefined when one is missing */
function pick(
  text: string,
  received: Readonly<Record<string, string | string[] | undefined>>,
): PassedHeaders | undefined {
  const picked = new Map<string, string>();
  const names = text.slice(text.indexOf(';') + 1);
  for (const name of names === '' ? [] : names.split(',')) {
    const value = received[name];
    if (typeof value !== 'string') return undefined;
    picked.set(name, value);
  }
  return picked;
}

/** Each part stands after its length, so that no two requests have one text. Everything in a request head is Latin-1. */
function macOf(key: Buffer, head: RequestHead, text: string, values: Iterable<string>): Buffer {
  let parts = part(head.method) + part(head.path) + part(head.query) + part(text);
  for (const value of values) parts += part(value);
  return createHmac('sha256', key).update(parts, 'latin1').digest();
}

function part(text: string): string {
  return `${text.length}:${text}`;
}
