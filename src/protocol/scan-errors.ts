/** The two ways in which bytes can fail to be a message; how they look on the wire is decided elsewhere. */
import { GatewayError } from '../core/errors.js';
import type { RequestId } from './message.js';

/** The bytes are not exactly one JSON text in valid UTF-8. */
export class NotJsonError extends GatewayError {
  override readonly code = 'NOT_JSON';
  /** Where reading stopped, in bytes from the start. */
  readonly offsetBytes: number;

  constructor(reason: string, offsetBytes: number) {
    super(`not valid JSON: ${reason} at byte ${offsetBytes}`);
    this.offsetBytes = offsetBytes;
  }
}

/** JSON, but no message the gateway lets pass. */
export class InvalidMessageError extends GatewayError {
  override readonly code = 'INVALID_MESSAGE';
  /** The id of the refused message, if it could be read without doubt, so that the answer can carry it. */
  readonly id: RequestId | undefined;

  constructor(reason: string, id?: RequestId) {
    super(`invalid message: ${reason}`);
    this.id = id;
  }
}
