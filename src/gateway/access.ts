/** Makes the access control of a configuration, and keeps what has to outlive it: the keys of issuers, and who guessed too often. */
import { createAuthenticator, isAuthConfigured } from '../auth/create-authenticator.js';
import { FailureLimiter } from '../auth/failure-limiter.js';
import { fetchKeySet } from '../auth/fetch-key-set.js';
import type { AuthOptions } from '../auth/options.js';
import { RemoteKeySets } from '../auth/remote-key-set.js';
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import type { AccessControl, TokenSources } from '../downstream/caller-identity.js';

export class AccessBuilder {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #failures: FailureLimiter;
  readonly #keySets: RemoteKeySets;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#failures = new FailureLimiter(clock);
    this.#keySets = new RemoteKeySets({ clock, fetch: fetchKeySet, onProblem: this.#onProblem });
  }

  /** @throws {KeySetInvalidError} a key file cannot be used */
  build(options: AuthOptions | undefined): AccessControl {
    const authenticator = createAuthenticator(options, {
      clock: this.#clock,
      keySets: this.#keySets,
      failures: this.#failures,
      onProblem: this.#onProblem,
    });
    return { authenticator, isConfigured: isAuthConfigured(options), tokens: tokenSources(options) };
  }

  readonly #onProblem = (reason: string): void => {
    this.#logger.warn('key_set_failed', 'keys of an issuer cannot be read', { reason });
  };
}

function tokenSources(options: AuthOptions | undefined): TokenSources | undefined {
  const issuers = options?.jwt;
  if (issuers === undefined) return undefined;
  return {
    authorizationServers: issuers.map(({ issuer }) => issuer),
    scopes: [...new Set(issuers.flatMap(({ requiredScopes }) => requiredScopes))],
  };
}
