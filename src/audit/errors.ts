import { describeError, GatewayError } from '../core/errors.js';

/** The key file of the audit trail is of no use. */
export class AuditKeyError extends GatewayError {
  override readonly code = 'AUDIT_KEY';
  readonly file: string;
  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`audit key file "${file}" ${problem}`, options);
    this.file = file;
  }
}

/** The audit file cannot be opened or written. */
export class AuditFileError extends GatewayError {
  override readonly code = 'AUDIT_FILE';
  readonly file: string;
  constructor(file: string, cause: unknown) {
    super(`audit file "${file}" cannot be written: ${describeError(cause)}`, { cause });
    this.file = file;
  }
}
