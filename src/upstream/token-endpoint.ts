/**
 * Asks a token endpoint for a token with client credentials. Nothing of the secret or of a token gets into an error.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
import type { TimerWheel } from '../core/timer-wheel.js';
import { HttpClient } from '../http-client/client.js';
import { HttpClientError } from '../http-client/errors.js';
import { renderHeaders } from '../http-client/headers.js';
import type { UpstreamOAuthOptions } from './options.js';

const MAX_ANSWER_BYTES = 64 * 1024;
/** For a token whose life the endpoint does not tell. */
const DEFAULT_LIFETIME_MS = 300_000;
const MAX_LIFETIME_MS = 86_400_000;
const TOKEN = /^[\x21-\x7e]{1,8192}$/;
/** The error codes that the specification knows; any other text might be anything. */
const KNOWN_ERRORS: ReadonlySet<unknown> = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  'temporarily_unavailable',
  'server_error',
]);

export interface GrantedToken {
  readonly token: string;
  /** From now, in milliseconds. */
  readonly lifetimeMs: number;
}

export interface TokenEndpointOptions {
  readonly oauth: UpstreamOAuthOptions;
  readonly timers: TimerWheel;
  /** For the whole of one request, in milliseconds. */
  readonly timeoutMs: number;
}

export class TokenEndpoint {
  readonly #options: TokenEndpointOptions;
  readonly #http: HttpClient;
  readonly #path: string;
  readonly #headers: string;
  readonly #body: Buffer;

  /** @throws {TypeError} the URL is neither https nor on a loopback host */
  constructor(options: TokenEndpointOptions) {
    const { oauth, timers, timeoutMs } = options;
    const url = new URL(oauth.tokenUrl);
    if (!isProtected(url)) throw new TypeError('a token endpoint must be https, or on a loopback host');
    this.#options = options;
    this.#http = new HttpClient({ origin: url, connectTimeoutMs: timeoutMs, headersTimeoutMs: timeoutMs, timers });
    this.#path = url.pathname + url.search;
    this.#headers = renderHeaders([
      ['authorization', `Basic ${basicCredentials(oauth)}`],
      ['content-type', 'application/x-www-form-urlencoded'],
      ['accept', 'application/json'],
      ['user-agent', 'mcp-gateway'],
    ]);
    this.#body = Buffer.from(requestForm(oauth));
  }

  /** @throws {HttpClientError} with reason `token` or `token_timeout`: there is none */
  request(): Promise<GrantedToken> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status = 0;
      let bytes = 0;
      const settle = (error: HttpClientError | undefined, granted?: GrantedToken): void => {
        timer.cancel();
        if (granted !== undefined) resolve(granted);
        else reject(error ?? failure('answered something that is no token'));
      };
      const call = this.#http.request(
        { method: 'POST', path: this.#path, headers: this.#headers, body: this.#body, retryStale: true },
        {
          onHeaders: (answered) => {
            status = answered;
          },
          onData: (chunk) => {
            bytes += chunk.length;
            if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
            else {
              call.abort();
              settle(failure('answered too much'));
            }
          },
          onEnd: () => {
            const answer = parseObject(Buffer.concat(chunks));
            if (status === 200) settle(undefined, readToken(answer));
            else settle(failure(`answered ${status}${knownError(answer)}`));
          },
          onError: (error) => settle(asTokenFailure(error)),
        },
      );
      const timer = this.#options.timers.schedule(this.#options.timeoutMs, () => {
        call.abort();
        settle(tooSlow());
      });
    });
  }

  close(): Promise<void> {
    return this.#http.close();
  }
}

function isProtected({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname));
}

/** Both halves are form-encoded first, so that a colon in one cannot move the border. */
function basicCredentials({ clientId, clientSecret }: UpstreamOAuthOptions): string {
  return Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64');
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

function requestForm({ scope, resource }: UpstreamOAuthOptions): string {
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scope !== undefined) form.set('scope', scope);
  if (resource !== undefined) form.set('resource', resource);
  return form.toString();
}

function parseObject(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** @returns undefined when it is not a bearer token that a header can carry */
function readToken(answer: Record<string, unknown>): GrantedToken | undefined {
  const { access_token: token, token_type: type, expires_in: expiresIn } = answer;
  if (typeof token !== 'string' || !TOKEN.test(token)) return undefined;
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return undefined;
  const seconds = typeof expiresIn === 'string' ? Number.parseInt(expiresIn, 10) : expiresIn;
  const isTold = typeof seconds === 'number' && seconds > 0;
  return { token, lifetimeMs: isTold ? Math.min(seconds * 1000, MAX_LIFETIME_MS) : DEFAULT_LIFETIME_MS };
}

function knownError({ error }: Record<string, unknown>): string {
  return KNOWN_ERRORS.has(error) ? ` ${String(error)}` : '';
}

function failure(what: string, options?: ErrorOptions): HttpClientError {
  return new HttpClientError({ reason: 'token', sent: 'no' }, `the token endpoint ${what}`, options);
}

function tooSlow(options?: ErrorOptions): HttpClientError {
  const text = 'the token endpoint did not answer in time';
  return new HttpClientError({ reason: 'token_timeout', sent: 'no' }, text, options);
}

function asTokenFailure(cause: HttpClientError): HttpClientError {
  if (cause.reason === 'connect_timeout' || cause.reason === 'headers_timeout') return tooSlow({ cause });
  return failure('cannot be used', { cause });
}
