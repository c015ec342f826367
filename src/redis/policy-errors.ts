/** Why a change of a pushed policy was refused; nothing was stored. */
import { GatewayError } from '../core/errors.js';

/** Another policy rules than the one that the change was made for. */
export class PolicyConflictError extends GatewayError {
  override readonly code = 'POLICY_CONFLICT';
  readonly found: string;

  constructor(name: string, expected: string, found: string) {
    super(`policy "${name}" is not ${expected} but ${found}; nothing was changed`);
    this.found = found;
  }
}

/** There is nothing to go back to: no such push, or its text is gone. */
export class PolicyNotKeptError extends GatewayError {
  override readonly code = 'POLICY_NOT_KEPT';
}
