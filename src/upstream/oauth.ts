/** The gateway's own token for one upstream: fetched when needed, shared by all its sessions, and renewed before it ends. */
import type { Clock } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { renderHeaders } from '../http-client/headers.js';
import type { GrantedToken } from './token-endpoint.js';

export interface OauthDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Rejects with {@link HttpClientError}: there is none. */
  readonly request: () => Promise<GrantedToken>;
  /** Told of every token, so that it can be kept from clients. */
  readonly onToken: (token: string) => void;
}

/** A token that was granted, as it goes on the wire. */
export interface Authorization {
  /** The rendered header line. */
  readonly line: string;
}

/** A token is not used in the last moments of its life, since a request takes a while to arrive. */
const MARGIN_MS = 30_000;
/** Used up this far, a token is renewed beside the requests that still use it. */
const RENEW_AFTER = 0.8;
/** Between two attempts to renew a token that still works, in milliseconds. */
const RENEW_PAUSE_MS = 5000;
/** Between two tokens that are fetched because the upstream refused one which it had never accepted, in milliseconds. */
const REFUSAL_PAUSE_MS = 10_000;

interface Held extends Authorization {
  readonly renewAtMs: number;
  readonly endsAtMs: number;
  wasAccepted: boolean;
}

export class OauthTokens {
  readonly #dependencies: OauthDependencies;
  #held: Held | undefined;
  #request: Promise<Authorization> | undefined;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #refusedAtMs = Number.NEGATIVE_INFINITY;

  constructor(dependencies: OauthDependencies) {
    this.#dependencies = dependencies;
  }

  /** The token at hand; undefined when one has to be fetched first. */
  get current(): Authorization | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    const now = this.#dependencies.clock.now();
    if (now >= held.endsAtMs) return undefined;
    if (now >= held.renewAtMs && now - this.#renewedAtMs >= RENEW_PAUSE_MS) this.#renew(now);
    return held;
  }

  /**
   * A usable token; one request at a time, however many wait for it.
   *
   * @throws {HttpClientError} there is none
   */
  get(): Promise<Authorization> {
    const { current } = this;
    return current === undefined ? this.#fetch() : Promise.resolve(current);
  }

  /** The upstream took a request with it. */
  accepted(authorization: Authorization): void {
    if (this.#held === authorization) this.#held.wasAccepted = true;
  }

  /**
   * The upstream answered 401 to it.
   *
   * @returns whether another one is to be had, or at least worth asking for
   */
  refused(authorization: Authorization): boolean {
    const held = this.#held;
    if (held === undefined || held !== authorization) return true;
    const now = this.#dependencies.clock.now();
    // An upstream that accepts nothing must not become a flood on the token endpoint.
    if (!held.wasAccepted && now - this.#refusedAtMs < REFUSAL_PAUSE_MS) return false;
    this.#refusedAtMs = now;
    this.#held = undefined;
    return true;
  }

  #renew(now: number): void {
    this.#renewedAtMs = now;
    this.#fetch().catch(() => {
      // Logged where it happened; until the token ends there is nothing to tell anyone.
    });
  }

  #fetch(): Promise<Authorization> {
    this.#request ??= this.#ask().finally(() => {
      this.#request = undefined;
    });
    return this.#request;
  }

  async #ask(): Promise<Authorization> {
    const { clock, logger, request, onToken } = this.#dependencies;
    try {
      const { token, lifetimeMs } = await request();
      onToken(token);
      const usableMs = lifetimeMs - Math.min(MARGIN_MS, lifetimeMs / 2);
      const now = clock.now();
      const held = {
        line: renderHeaders([['authorization', `Bearer ${token}`]]),
        renewAtMs: now + usableMs * RENEW_AFTER,
        endsAtMs: now + usableMs,
        wasAccepted: false,
      };
      this.#held = held;
      return held;
    } catch (error) {
      logger.warn('token_failed', 'no token for the upstream', { reason: describeError(error) });
      throw error;
    }
  }
}
