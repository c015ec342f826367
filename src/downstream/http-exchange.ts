import type { ServedRequest, ServedResponse } from '../http-server/types.js';
import type { Caller } from './client-session.js';
import { SessionMovedError, SessionUnknownError } from '../protocol/session-errors.js';
import { sendError, type HeaderList } from './respond.js';

/** One HTTP request that passed the guards, with what its answer has to carry. */
export interface HttpExchange {
  readonly request: ServedRequest;
  readonly response: ServedResponse;
  readonly query: string;
  readonly caller: Caller;
  /** CORS and connection headers of the answer. */
  readonly headers: HeaderList;
  /** What stands before our paths as this client sees them, e.g. `/base/sumit`. */
  readonly publicPrefix: string;
  /** Read already, by whoever brought the request here. */
  readonly body?: Buffer | undefined;
  /** The answer began while it was still being found out where the session is. */
  readonly isAnswerOpen?: boolean;
  /**
   * The session was here when the request came, and is not any more.
   *
   * @param left Resolves when somebody else may take it.
   */
  readonly onMoved?: (body: Buffer | undefined, left: Promise<void>) => void;
}

/** The request is answered with `error`, unless somebody else can still do better. */
export function refuseOrMove(exchange: HttpExchange, error: unknown, body: Buffer | undefined): void {
  const { onMoved } = exchange;
  if (onMoved !== undefined && error instanceof SessionMovedError) onMoved(body, error.left);
  else if (onMoved !== undefined && error instanceof SessionUnknownError) onMoved(body, Promise.resolve());
  else refuse(exchange, error);
}

export function refuse(exchange: HttpExchange, error: unknown): void {
  sendError(exchange.response, error, exchange.headers);
}
