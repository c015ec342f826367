/** Sessions that other replicas own. The listener asks before it serves a request, and serves it here only when it is told so. */
import type { Endpoint } from './endpoints.js';
import type { HttpExchange } from './http-exchange.js';
import { queryValue } from './request-head.js';
import { parseEventId } from './sse-encode.js';

export interface Elsewhere {
  /** @returns whether it is taken care of: passed on, or served here as soon as it is known that it belongs here */
  takes(endpoint: Endpoint, exchange: HttpExchange): boolean;
}

/** What names the session of a request, where the client says it; undefined: nothing does. */
export function namedSession({ kind }: Endpoint, { request, query }: HttpExchange): string | undefined {
  switch (kind) {
    case 'sse':
      return sessionOfEvent(request.headers['last-event-id']);
    case 'messages':
      return queryValue(query, 'sessionId');
    case 'mcp': {
      const id = request.headers['mcp-session-id'];
      return typeof id === 'string' ? id : undefined;
    }
  }
}

function sessionOfEvent(eventId: string | string[] | undefined): string | undefined {
  return typeof eventId === 'string' ? parseEventId(eventId)?.sessionId : undefined;
}
