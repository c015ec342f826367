/** Asks of every request who sends it, and turns a refusal into the error that the client gets. What the caller may do is decided elsewhere. */
import type { ServedRequest } from '../http-server/types.js';
import type { Principal } from '../auth/principal.js';
import type { RequestAuthenticator } from '../auth/create-authenticator.js';
import { hasQueryCredential } from '../auth/credentials.js';
import { wwwAuthenticate } from '../auth/protected-resource.js';
import type { AuthRefusal, AuthResult, AuthThrottled } from '../auth/refusals.js';
import type { ClientAddresses } from './client-address.js';
import type { Caller } from './client-session.js';
import { AuthRefusedError, HttpRefusalError } from './errors.js';

/** Who may come in; one per configuration. */
export interface AccessControl {
  readonly authenticator: RequestAuthenticator;
  /** Callers can prove who they are, so operators have to. */
  readonly isConfigured: boolean;
  /** What clients are told that have to get a token; undefined when no token would help. */
  readonly tokens: TokenSources | undefined;
}

export interface TokenSources {
  /** Issuers whose tokens are accepted. */
  readonly authorizationServers: readonly string[];
  readonly scopes: readonly string[];
}

/** What is known of a request that was turned away. */
export interface RefusedCaller {
  readonly ip: string;
  /** Prefix of the route that was asked for; undefined for what belongs to none. */
  readonly route: string | undefined;
  readonly method: string;
}

export type AuthFailureHook = (refusal: AuthRefusal | AuthThrottled, caller: RefusedCaller) => void;

/** What a request asks for. */
export interface RequestPlace {
  readonly query: string;
  readonly route: string | undefined;
  /** Where the client learns how to get a token; asked only when it needs to know. */
  metadataUrl(): string | undefined;
}

const ADMIN_ROLE = 'admin';
const SESSION_PARAMETER = 'sessionId=';

export class CallerIdentity {
  readonly #access: AccessControl;
  readonly #addresses: ClientAddresses;
  readonly #onFailure: AuthFailureHook | undefined;

  constructor(access: AccessControl, addresses: ClientAddresses, onFailure: AuthFailureHook | undefined) {
    this.#access = access;
    this.#addresses = addresses;
    this.#onFailure = onFailure;
  }

  /**
   * A promise only when a token has to be verified for the first time in a while.
   *
   * @throws {AuthRefusedError} by the promise too
   */
  identify(request: ServedRequest, place: RequestPlace): Caller | Promise<Caller> {
    // Without configured callers nobody is counted by address, and asking the system for it is not free.
    const ip = this.#access.isConfigured ? this.#addresses.of(request) : '';
    const apiKey = request.headers['x-api-key'];
    const result = this.#access.authenticator.authenticate({
      authorization: request.headers.authorization,
      apiKey: typeof apiKey === 'string' ? apiKey : undefined,
      queryHasCredential: hasCredential(place.query),
      ip: ip === '' ? undefined : ip,
    });
    return result instanceof Promise
      ? result.then((settled) => this.#admit(settled, request, ip, place))
      : this.#admit(result, request, ip, place);
  }

  /** @throws {HttpRefusalError} 403: what operators see is not for this caller */
  requireAdmin({ principal }: Caller): void {
    if (!this.#access.isConfigured || principal.role === ADMIN_ROLE) return;
    throw new HttpRefusalError(403, `this takes the role ${ADMIN_ROLE}`);
  }

  #admit(result: AuthResult, request: ServedRequest, ip: string, place: RequestPlace): Caller {
    if (result.ok) return new RequestCaller(result.principal, request, this.#addresses);
    this.#onFailure?.(result, { ip, route: place.route, method: request.method ?? '' });
    const challenge = result.status === 429 ? undefined : wwwAuthenticate(result, place.metadataUrl());
    throw new AuthRefusedError(result, challenge);
  }
}

/** Knows the address when somebody asks: most requests are judged without it. */
class RequestCaller implements Caller {
  readonly principal: Principal;
  readonly headers: ServedRequest['headers'];
  readonly #request: ServedRequest;
  readonly #addresses: ClientAddresses;

  constructor(principal: Principal, request: ServedRequest, addresses: ClientAddresses) {
    this.principal = principal;
    this.headers = request.headers;
    this.#request = request;
    this.#addresses = addresses;
  }

  get ip(): string {
    return this.#addresses.of(this.#request);
  }
}

/** Most requests have no query, or the session alone; only others are worth taking apart. */
function hasCredential(query: string): boolean {
  if (query === '' || (query.startsWith(SESSION_PARAMETER) && !query.includes('&'))) return false;
  return hasQueryCredential(query);
}
