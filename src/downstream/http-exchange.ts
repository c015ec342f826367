import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from './client-session.js';
import { sendError, type HeaderList } from './respond.js';

/** One HTTP request that passed the guards, with what its answer has to carry. */
export interface HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: string;
  readonly caller: Caller;
  /** CORS and connection headers of the answer. */
  readonly headers: HeaderList;
  /** What stands before our paths as this client sees them, e.g. `/base/sumit`. */
  readonly publicPrefix: string;
}

export function refuse(exchange: HttpExchange, error: unknown): void {
  sendError(exchange.response, error, exchange.headers);
}
