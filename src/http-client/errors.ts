import { GatewayError } from '../core/errors.js';

/** Where a call failed. `closed`: the client itself was closed under it. `token`: there was none to send it with. */
export type HttpFailure =
  | 'connect'
  | 'connect_timeout'
  | 'tls'
  | 'headers_timeout'
  | 'reset'
  | 'protocol'
  | 'closed'
  | 'token'
  | 'token_timeout';

export interface HttpFailureFacts {
  readonly reason: HttpFailure;
  readonly sent: 'no' | 'unknown';
  readonly timeoutMs?: number | undefined;
}

/**
 * An HTTP call that has no complete response. Names the origin and never the path, the headers or the body,
 * any of which may carry a secret.
 */
export class HttpClientError extends GatewayError {
  override readonly code = 'UPSTREAM_HTTP';
  readonly reason: HttpFailure;
  /** `no`: not one byte of the request reached a connected socket, so it is safe to send again elsewhere. */
  readonly sent: 'no' | 'unknown';

  /** The limit that passed, in milliseconds; undefined unless the reason is a timeout. */
  readonly timeoutMs: number | undefined;

  constructor(facts: HttpFailureFacts, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = facts.reason;
    this.sent = facts.sent;
    this.timeoutMs = facts.timeoutMs;
  }
}

/** What the parser throws: the response breaks HTTP/1.1 framing. The connection turns it into an `HttpClientError`. */
export class FramingError extends Error {}
