import type { Executed } from '../protocol/error-codes.js';
import { UpstreamError } from '../protocol/transport.js';

/** The upstream could not be reached, broke off, or answered something that is no answer. */
export class UpstreamFailedError extends UpstreamError {
  override readonly code = 'UPSTREAM_FAILED';
  override readonly executed: Executed;

  constructor(message: string, executed: Executed, options?: ErrorOptions) {
    super(message, options);
    this.executed = executed;
  }
}

/** The upstream answered with an HTTP status that is no answer to the message. */
export class UpstreamRefusedError extends UpstreamError {
  override readonly code = 'UPSTREAM_REFUSED';
  /** A server that fails may have acted before it did; one that refuses has not. */
  override readonly executed: Executed;
  readonly status: number;
  /** What its `Retry-After` says, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, retryAfter: string | undefined) {
    super(`the upstream refused the message (HTTP ${status})`);
    this.status = status;
    this.executed = status < 500 ? 'no' : 'unknown';
    this.retryAfterMs =
      retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined;
  }
}

/** The upstream no longer knows the session (HTTP 404); what was sent has not run. */
export class UpstreamSessionGoneError extends UpstreamError {
  override readonly code = 'UPSTREAM_SESSION_GONE';
  override readonly executed: Executed = 'no';

  constructor() {
    super('the upstream ended its session');
  }
}

/** The upstream speaks another transport than the one that was tried. */
export class WrongTransportError extends UpstreamError {
  override readonly code = 'WRONG_TRANSPORT';
  override readonly executed: Executed = 'no';
  readonly tried: string;

  constructor(tried: string, detail: string) {
    super(`the upstream does not speak ${tried} here (${detail})`);
    this.tried = tried;
  }
}

/** No answer within the time the route allows. */
export class UpstreamTimeoutError extends UpstreamError {
  override readonly code = 'UPSTREAM_TIMEOUT';
  override readonly executed: Executed;

  constructor(message: string, executed: Executed, options?: ErrorOptions) {
    super(message, options);
    this.executed = executed;
  }
}

/** Too many failures of late: the upstream is left alone until `retryAfterMs` have passed. */
export class CircuitOpenError extends UpstreamError {
  override readonly code = 'CIRCUIT_OPEN';
  override readonly executed: Executed = 'no';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super(`the upstream failed repeatedly and is left alone for ${Math.ceil(retryAfterMs / 1000)} s`);
    this.retryAfterMs = retryAfterMs;
  }
}
