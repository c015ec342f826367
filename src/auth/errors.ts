import { GatewayError } from '../core/errors.js';

/** What an issuer published, or an operator wrote, is no usable set of public keys. */
export class KeySetInvalidError extends GatewayError {
  override readonly code = 'KEY_SET_INVALID';
  readonly source: string;
  readonly detail: string;

  /** @param source File or URL of the key set. */
  constructor(source: string, detail: string, options?: ErrorOptions) {
    super(`key set ${source}: ${detail}`, options);
    this.source = source;
    this.detail = detail;
  }
}

/** A key set could not be read, so nothing signed with it can be judged. */
export class KeySetUnavailableError extends GatewayError {
  override readonly code = 'KEY_SET_UNAVAILABLE';
  readonly source: string;

  constructor(source: string, detail: string, options?: ErrorOptions) {
    super(`key set ${source}: ${detail}`, options);
    this.source = source;
  }
}
