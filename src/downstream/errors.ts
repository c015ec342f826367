/** What can be wrong with a request before it is a message; `error-response` says how each looks on the wire. */
import type { AuthRefusal, AuthThrottled } from '../auth/refusals.js';
import { GatewayError } from '../core/errors.js';

/** Any refusal of the HTTP edge, with the status that the specification or HTTP itself gives it. */
export class HttpRefusalError extends GatewayError {
  override readonly code = 'HTTP_REFUSAL';
  readonly status: number;
  /** Response headers that go with the status, e.g. `Allow`. */
  readonly headers: readonly (readonly [string, string])[];

  constructor(status: number, message: string, headers: readonly (readonly [string, string])[] = []) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** Nobody knows who the caller is, or the caller may not come in. */
export class AuthRefusedError extends GatewayError {
  override readonly code = 'AUTH_REFUSED';
  readonly refusal: AuthRefusal | AuthThrottled;
  /** What `WWW-Authenticate` says; undefined when it would not help. */
  readonly challenge: string | undefined;

  constructor(refusal: AuthRefusal | AuthThrottled, challenge: string | undefined) {
    super(refusal.description);
    this.refusal = refusal;
    this.challenge = challenge;
  }
}

/** A revision this gateway does not carry on Streamable HTTP. */
export class UnsupportedVersionError extends GatewayError {
  override readonly code = 'UNSUPPORTED_VERSION';

  constructor(version: string) {
    super(`unsupported protocol version ${JSON.stringify(version.slice(0, 32))}`);
  }
}
