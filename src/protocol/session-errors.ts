import { GatewayError } from '../core/errors.js';
import type { RequestId } from './message.js';

/** No session id where one is needed, or a message that cannot come at this point of the session. */
export class SessionProtocolError extends GatewayError {
  override readonly code = 'SESSION_PROTOCOL';
  readonly id: RequestId | undefined;

  constructor(message: string, id?: RequestId) {
    super(message);
    this.id = id;
  }
}

/** Unknown, expired, another caller's or another route's: one answer for all, so that nothing can be guessed from it. */
export class SessionUnknownError extends GatewayError {
  override readonly code = 'SESSION_UNKNOWN';

  constructor() {
    super('unknown session');
  }
}

/** The session is about to go on at another replica, where this request belongs too. */
export class SessionMovedError extends GatewayError {
  override readonly code = 'SESSION_MOVED';
  /** Resolves when somebody else may take it. */
  readonly left: Promise<void>;

  constructor(left: Promise<void>) {
    super('the session goes on elsewhere');
    this.left = left;
  }
}

/** The gateway has as many sessions or requests as it may have, or is about to stop. */
export class OverloadedError extends GatewayError {
  override readonly code = 'OVERLOADED';
  readonly id: RequestId | undefined;
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number, id?: RequestId) {
    super(message);
    this.retryAfterMs = retryAfterMs;
    this.id = id;
  }
}

/** One caller has opened as many sessions as it may. */
export class TooManySessionsError extends GatewayError {
  override readonly code = 'TOO_MANY_SESSIONS';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super('too many sessions are open for this caller');
    this.retryAfterMs = retryAfterMs;
  }
}

/** A session cannot be opened now, since a limit on requests is exceeded. */
export class RateLimitedError extends GatewayError {
  override readonly code = 'RATE_LIMITED';
  readonly retryAfterMs: number;
  readonly id: RequestId | undefined;

  constructor(retryAfterMs: number, id: RequestId | undefined) {
    super('too many requests');
    this.retryAfterMs = retryAfterMs;
    this.id = id;
  }
}

/** Nothing may run that cannot be written down, and the audit trail cannot be written. */
export class UnauditableError extends GatewayError {
  override readonly code = 'UNAUDITABLE';
  readonly retryAfterMs = 1000;
  readonly id: RequestId | undefined;

  constructor(id: RequestId | undefined) {
    super('the audit trail cannot be written');
    this.id = id;
  }
}
