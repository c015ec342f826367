/**
 * HTTP to an upstream with the gateway's own token on every request. A token that the upstream refuses is replaced once;
 * the request goes out again only where that is safe by its own account.
 */
import { HttpClientError } from '../http-client/errors.js';
import type { HttpCall, HttpRequest, HttpRequester, ResponseHandler, ResponseHeaders } from '../http-client/types.js';
import type { Authorization, OauthTokens } from './oauth.js';

const UNAUTHORIZED = 401;

export class OauthHttp implements HttpRequester {
  readonly #http: HttpRequester;
  readonly #tokens: OauthTokens;

  constructor(http: HttpRequester, tokens: OauthTokens) {
    this.#http = http;
    this.#tokens = tokens;
  }

  request(request: HttpRequest, handler: ResponseHandler): HttpCall {
    const call = new OauthCall(this.#http, this.#tokens, request, handler);
    call.start();
    return call;
  }
}

/** One request, over as many attempts as it takes: at most two. */
class OauthCall implements HttpCall, ResponseHandler {
  readonly #http: HttpRequester;
  readonly #tokens: OauthTokens;
  readonly #request: HttpRequest;
  readonly #handler: ResponseHandler;
  #call: HttpCall | undefined;
  #authorization: Authorization | undefined;
  #isSecondTry = false;
  #isPaused = false;
  #isAborted = false;

  constructor(http: HttpRequester, tokens: OauthTokens, request: HttpRequest, handler: ResponseHandler) {
    this.#http = http;
    this.#tokens = tokens;
    this.#request = request;
    this.#handler = handler;
  }

  /** @throws {TypeError} as `HttpRequester.request` does, when a token is at hand */
  start(): void {
    const { current } = this.#tokens;
    if (current === undefined) this.#sendLater();
    else this.#send(current);
  }

  get bytesSent(): boolean {
    return this.#call?.bytesSent ?? false;
  }

  pause(): void {
    this.#isPaused = true;
    this.#call?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#call?.resume();
  }

  abort(): void {
    this.#isAborted = true;
    this.#call?.abort();
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    const authorization = this.#authorization;
    if (authorization !== undefined && status === UNAUTHORIZED) {
      if (this.#replaceToken(authorization)) return;
    } else if (authorization !== undefined) this.#tokens.accepted(authorization);
    this.#handler.onHeaders(status, headers);
  }

  onData(chunk: Buffer): void {
    this.#handler.onData(chunk);
  }

  onEnd(): void {
    this.#handler.onEnd();
  }

  onError(error: HttpClientError): void {
    this.#handler.onError(error);
  }

  /** @returns whether the request goes out again */
  #replaceToken(refused: Authorization): boolean {
    if (this.#isSecondTry || !this.#tokens.refused(refused)) return false;
    // A tool call is never sent twice, not even to a server that says it refused the first one. The next call has the new token.
    if (this.#request.retryStale !== true) {
      this.#tokens.get().catch(() => {});
      return false;
    }
    this.#isSecondTry = true;
    this.#call?.abort();
    this.#call = undefined;
    this.#sendLater();
    return true;
  }

  #sendLater(): void {
    this.#tokens.get().then(
      (authorization) => this.#sendLate(authorization),
      (error: unknown) => this.#fail(error),
    );
  }

  #sendLate(authorization: Authorization): void {
    if (this.#isAborted) return;
    try {
      this.#send(authorization);
    } catch (error) {
      this.#fail(error);
    }
  }

  #send(authorization: Authorization): void {
    this.#authorization = authorization;
    this.#call = this.#http.request({ ...this.#request, headers: authorization.line + this.#request.headers }, this);
    if (this.#isPaused) this.#call.pause();
  }

  #fail(error: unknown): void {
    if (this.#isAborted) return;
    const isKnown = error instanceof HttpClientError;
    this.#handler.onError(
      isKnown
        ? error
        : new HttpClientError({ reason: 'protocol', sent: 'no' }, 'the request cannot be sent', { cause: error }),
    );
  }
}
