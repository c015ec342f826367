import { GatewayError } from '../core/errors.js';

/** The listener could not take its address. */
export class AddressInUseError extends GatewayError {
  override readonly code = 'ADDRESS_IN_USE';

  constructor(host: string, port: number, options?: ErrorOptions) {
    super(`${host}:${port} is in use already`, options);
  }
}

/** The system does not let us listen there. */
export class NotPermittedError extends GatewayError {
  override readonly code = 'NOT_PERMITTED';

  constructor(host: string, port: number, options?: ErrorOptions) {
    super(`not permitted to listen on ${host}:${port}`, options);
  }
}

/** An upstream with `required: true` cannot be reached at start. */
export class RequiredUpstreamError extends GatewayError {
  override readonly code = 'REQUIRED_UPSTREAM';
  readonly prefixes: readonly string[];

  constructor(prefixes: readonly string[]) {
    super(`required upstream${prefixes.length === 1 ? '' : 's'} not reachable: ${prefixes.join(', ')}`);
    this.prefixes = prefixes;
  }
}

/** `redis.required` is set, and Redis does not answer at start. */
export class RequiredStoreError extends GatewayError {
  override readonly code = 'REQUIRED_STORE';

  constructor() {
    super('Redis does not answer, and redis.required is set');
  }
}

/** A configuration that is valid by itself cannot follow on the one in force. */
export class ReloadRefusedError extends GatewayError {
  override readonly code = 'RELOAD_REFUSED';
}
