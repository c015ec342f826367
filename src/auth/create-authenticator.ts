/**
 * Joins the configured methods into the one question that the gateway asks: who is this?
 * The order of answers is fixed here: a credential in the URL, a remembered credential, a blocked address, then each method in turn.
 */
import type { Clock } from '../core/clock.js';
import { AnonymousAuthenticator, admitAnonymous } from './anonymous.js';
import { ApiKeyAuthenticator } from './api-key.js';
import type { Authenticator } from './authenticator.js';
import { type Credentials, type PresentedCredential, parseCredentials } from './credentials.js';
import type { FailureLimiter } from './failure-limiter.js';
import { FileKeySet } from './file-key-set.js';
import { JwtAuthenticator } from './jwt.js';
import { CLOCK_SKEW_MS, JwtIssuer } from './jwt-issuer.js';
import type { AuthOptions, JwtIssuerOptions } from './options.js';
import type { RemoteKeySets } from './remote-key-set.js';
import { type AuthResult, isGuess, refuse, throttle } from './refusals.js';
import { VerifiedCredentials } from './verified-credentials.js';

export interface AuthenticatorDeps {
  readonly clock: Clock;
  /** Outlives a reload, and so do the keys in it. */
  readonly keySets: RemoteKeySets;
  /** Outlives a reload, so that changing the configuration unblocks nobody. */
  readonly failures: FailureLimiter;
  /** Told when a key file changed into something that cannot be used. */
  readonly onProblem: (problem: string) => void;
}

export interface RequestAuthenticator {
  /** Answers at once unless a token has to be verified for the first time in a minute. Never throws and never rejects. */
  authenticate(credentials: Credentials): AuthResult | Promise<AuthResult>;
}

/**
 * @param options Undefined when nothing is configured: then everyone is anonymous, whatever they send in headers.
 * @throws {KeySetInvalidError} a `jwksFile` cannot be read or holds no usable key
 */
export function createAuthenticator(options: AuthOptions | undefined, deps: AuthenticatorDeps): RequestAuthenticator {
  if (options === undefined || !isAuthConfigured(options)) return new OpenDoor();
  const methods = createMethods(options, deps);
  const scopes = new Set(options.jwt?.flatMap((issuer) => issuer.requiredScopes));
  return new MethodChain(methods, [...scopes].join(' '), deps);
}

/** Whether there is any way to say who one is; without one, everybody is the same. */
export function isAuthConfigured(options: AuthOptions | undefined): boolean {
  return options?.apiKeys !== undefined || options?.jwt !== undefined || options?.anonymous !== undefined;
}

/** Keys come before tokens: looking a digest up is cheaper than reading a token. */
function createMethods(options: AuthOptions, deps: AuthenticatorDeps): Authenticator[] {
  const methods: Authenticator[] = [];
  if (options.apiKeys !== undefined) methods.push(new ApiKeyAuthenticator(options.apiKeys));
  if (options.jwt !== undefined) methods.push(new JwtAuthenticator(createIssuers(options.jwt, deps)));
  if (options.anonymous !== undefined) methods.push(new AnonymousAuthenticator(options.anonymous));
  return methods;
}

function createIssuers(issuers: readonly JwtIssuerOptions[], deps: AuthenticatorDeps): Map<string, JwtIssuer> {
  return new Map(
    issuers.map((options) => [options.issuer, new JwtIssuer(options, keySourceOf(options, deps), deps.clock)]),
  );
}

function keySourceOf({ issuer, jwksFile, jwksUri }: JwtIssuerOptions, deps: AuthenticatorDeps) {
  if (jwksFile !== undefined) return new FileKeySet(jwksFile, deps);
  if (jwksUri !== undefined) return deps.keySets.at(jwksUri);
  throw new TypeError(`issuer ${issuer} has neither jwksUri nor jwksFile`);
}

/** Without any method there is nothing to check a credential against; one in the URL still leaks into logs, so it is refused. */
class OpenDoor implements RequestAuthenticator {
  readonly #admitted = admitAnonymous(undefined);

  authenticate({ queryHasCredential }: Credentials): AuthResult {
    return queryHasCredential ? refuse('credential_in_url') : this.#admitted;
  }
}

class MethodChain implements RequestAuthenticator {
  readonly #methods: readonly Authenticator[];
  /** What to ask an issuer for, told to callers that have no usable token. */
  readonly #challengeScope: string;
  readonly #failures: FailureLimiter;
  readonly #verified: VerifiedCredentials;

  constructor(methods: readonly Authenticator[], challengeScope: string, { clock, failures }: AuthenticatorDeps) {
    this.#methods = methods;
    this.#challengeScope = challengeScope;
    this.#failures = failures;
    this.#verified = new VerifiedCredentials(clock, CLOCK_SKEW_MS);
  }

  authenticate(credentials: Credentials): AuthResult | Promise<AuthResult> {
    if (credentials.queryHasCredential) return refuse('credential_in_url');
    const parsed = parseCredentials(credentials);
    if (parsed.kind === 'none') return this.#ask(undefined) ?? refuse('missing', this.#challengeScope);
    return this.#judge(parsed, credentials.ip);
  }

  #judge(
    parsed: Exclude<ReturnType<typeof parseCredentials>, { kind: 'none' }>,
    ip: string | undefined,
  ): AuthResult | Promise<AuthResult> {
    const remembered = parsed.kind === 'presented' ? this.#verified.recall(parsed.credential) : undefined;
    const retryAfterMs = this.#failures.retryAfterMs(ip);
    // A caller that was let in from this address a moment ago is no guesser, even when a neighbour behind the same address is.
    if (retryAfterMs > 0 && (remembered === undefined || remembered.ip !== ip)) return throttle(retryAfterMs);
    if (remembered !== undefined) return remembered.admitted;
    if (parsed.kind === 'refused') return this.#settle(refuse(parsed.reason, this.#challengeScope), undefined, ip);

    const { credential } = parsed;
    const answer = this.#ask(credential) ?? refuse('not_accepted', this.#challengeScope);
    return answer instanceof Promise
      ? answer.then((result) => this.#settle(result, credential, ip))
      : this.#settle(answer, credential, ip);
  }

  #ask(credential: PresentedCredential | undefined): AuthResult | Promise<AuthResult> | undefined {
    for (const method of this.#methods) {
      const answer = method.authenticate(credential);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  #settle(result: AuthResult, credential: PresentedCredential | undefined, ip: string | undefined): AuthResult {
    if (result.ok && credential !== undefined) this.#verified.remember(credential, result, ip);
    if (isGuess(result)) this.#failures.recordFailure(ip);
    return result;
  }
}
