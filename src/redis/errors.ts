/** What goes wrong with Redis, and whether it concerns one command or the whole link. */
import { GatewayError } from '../core/errors.js';

/** The shared store does not answer; ask again later, or do without. */
export class StoreAwayError extends GatewayError {
  readonly code = 'STORE_AWAY';

  constructor(options?: ErrorOptions) {
    super('the shared store does not answer', options);
  }
}

/** Replies that speak of the server's state, not of the command; scripts put a dash before them. */
const SERVER_UNFIT = /(?:^|-)(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|NOAUTH) /;
const READONLY = /(?:^|-)READONLY /;
const CLIENT_ERRORS: ReadonlySet<string> = new Set([
  'AbortError',
  'ClusterAllFailedError',
  'InterruptError',
  'MaxRetriesPerRequestError',
  'ParserError',
]);
const CLIENT_MESSAGES = /^(?:Connection is closed\.|Stream isn't writeable|Cluster isn't ready|Too many Cluster redir)/;

/** Whether an error says that the connection or the server is unusable; anything else is about one command alone. */
export function isLinkFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'ReplyError') return SERVER_UNFIT.test(error.message);
  return CLIENT_ERRORS.has(error.name) || CLIENT_MESSAGES.test(error.message) || 'syscall' in error;
}

/** The server is a replica: a former master after a failover, or the wrong address. */
export function isReadonly(error: Error): boolean {
  return READONLY.test(error.message);
}
