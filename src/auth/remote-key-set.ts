import { type CryptoKey, errors, type FlattenedJWSInput, type JWSHeaderParameters } from 'jose';

import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import { KeySetUnavailableError } from './errors.js';
import { type KeySet, type KeySource, parseKeySet } from './key-set.js';

export interface RemoteKeySetDeps {
  readonly clock: Clock;
  /** Reads the document at a URL; `fetchKeySet` outside of tests. */
  readonly fetch: (url: string) => Promise<string>;
  /** Told when a key set cannot be read, once per attempt. */
  readonly onProblem: (problem: string) => void;
}

/** Between two attempts, good or bad, so that forged key ids cannot be turned into a flood on the issuer. */
const COOLDOWN_MS = 30_000;
/** After this the set is read again in the background, so that a key which the issuer withdrew goes away. */
const MAX_AGE_MS = 600_000;

/**
 * The keys behind one URL. Keys once read keep working while the URL is down; without any, every lookup fails.
 * At most one attempt is under way, and at most one per 30 s is made.
 */
export class RemoteKeySet implements KeySource {
  readonly #url: string;
  readonly #deps: RemoteKeySetDeps;
  #keys: KeySet | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #attemptedAtMs = Number.NEGATIVE_INFINITY;
  #attempt: Promise<void> | undefined;

  constructor(url: string, deps: RemoteKeySetDeps) {
    this.#url = url;
    this.#deps = deps;
  }

  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const keys = await this.#currentKeys();
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // The issuer may have rotated its keys since they were read.
      await this.#refresh();
      if (this.#keys === undefined || this.#keys === keys) throw error;
      return this.#keys(header, token);
    }
  }

  async #currentKeys(): Promise<KeySet> {
    if (this.#keys === undefined) await this.#refresh();
    else if (this.#deps.clock.now() - this.#readAtMs > MAX_AGE_MS) void this.#refresh();
    if (this.#keys === undefined) throw new KeySetUnavailableError(this.#url, 'could not be read so far');
    return this.#keys;
  }

  /** Settles when the attempt that is due, if one is, has ended; never rejects. */
  #refresh(): Promise<void> {
    if (this.#attempt !== undefined) return this.#attempt;
    const now = this.#deps.clock.now();
    if (now - this.#attemptedAtMs < COOLDOWN_MS) return Promise.resolve();
    this.#attemptedAtMs = now;
    this.#attempt = this.#read().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  async #read(): Promise<void> {
    try {
      this.#keys = parseKeySet(await this.#deps.fetch(this.#url), this.#url);
      this.#readAtMs = this.#deps.clock.now();
    } catch (error) {
      this.#deps.onProblem(describeError(error));
    }
  }
}

/**
 * One `RemoteKeySet` per URL. Shared by successive configurations, so a reload forgets no key and buys nobody an extra attempt.
 */
export class RemoteKeySets {
  readonly #deps: RemoteKeySetDeps;
  readonly #sets = new Map<string, RemoteKeySet>();

  constructor(deps: RemoteKeySetDeps) {
    this.#deps = deps;
  }

  at(url: string): RemoteKeySet {
    let set = this.#sets.get(url);
    if (set === undefined) {
      set = new RemoteKeySet(url, this.#deps);
      this.#sets.set(url, set);
    }
    return set;
  }
}
