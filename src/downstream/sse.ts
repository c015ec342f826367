/**
 * HTTP+SSE toward clients (revision 2024-11-05): GET opens the stream and with it the session, every message is a POST answered 202.
 * A client that comes back with the id of an event it has seen goes on with the same session.
 * @see https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
 */
import { isLegacyVersion } from '../protocol/eras.js';
import { scanClientMessage, type ScanLimits } from '../protocol/scan.js';
import { SessionProtocolError, SessionUnknownError } from '../protocol/session-errors.js';
import { readBody, refuseForeignBody } from './body.js';
import type { ClientSession, RouteDoor } from './client-session.js';
import { type HttpExchange, refuse, refuseOrMove } from './http-exchange.js';
import { queryValue } from './request-head.js';
import { openEventStream, sendEmpty } from './respond.js';
import { encodeEndpointEvent, encodeRetry, eventId, parseEventId } from './sse-encode.js';
import { whenAdmitted } from './stream-admission.js';

export interface MessageLimits extends ScanLimits {
  readonly bodyBytes: number;
}

/** How long a client waits before it comes back, in milliseconds. */
export const RETRY_MS = 1000;

export function openSse(exchange: HttpExchange, door: RouteDoor): void {
  const lastEventId = exchange.request.headers['last-event-id'];
  if (typeof lastEventId === 'string' && lastEventId !== '') resume(exchange, door, lastEventId);
  else whenAdmitted(exchange, door, () => begin(exchange, door));
}

function begin(exchange: HttpExchange, door: RouteDoor): void {
  const session = door.open('sse', exchange.caller, returningVersion(exchange));
  start(exchange, session, session.streams.general.openedAt, undefined);
}

/**
 * The official TypeScript client forgets `Last-Event-ID` when it comes back, but not the revision it had settled on, which no client knows
 * before its first session.
 */
function returningVersion({ request }: HttpExchange): string | undefined {
  const version = request.headers['mcp-protocol-version'];
  return typeof version === 'string' && isLegacyVersion(version) ? version : undefined;
}

/** @throws {SessionUnknownError} also when too much was said since: never a new session in disguise */
function resume(exchange: HttpExchange, door: RouteDoor, lastEventId: string): void {
  const seen = parseEventId(lastEventId);
  if (seen === undefined) throw new SessionUnknownError();
  const session = door.resolve(seen.sessionId, 'sse', exchange.caller);
  if (!session.streams.general.canResumeAfter(seen.sequence)) throw new SessionUnknownError();
  start(exchange, session, seen.sequence, seen.sequence);
}

function start(exchange: HttpExchange, session: ClientSession, sequence: number, after: number | undefined): void {
  if (exchange.isAnswerOpen !== true) greet(exchange, session.id, sequence);
  session.streams.attachGeneral(exchange.response, after);
}

/** What every stream begins with, also one whose session is still looked for. */
export function greet({ response, headers, publicPrefix }: HttpExchange, sessionId: string, sequence: number): void {
  openEventStream(response, headers);
  const path = `${publicPrefix}/messages?sessionId=${sessionId}`;
  response.write(encodeRetry(RETRY_MS) + encodeEndpointEvent(eventId(sessionId, sequence), path));
}

export function receiveSseMessage(exchange: HttpExchange, door: RouteDoor, limits: MessageLimits): void {
  const id = queryValue(exchange.query, 'sessionId');
  if (id === undefined || id === '') throw new SessionProtocolError('sessionId is missing');
  refuseForeignBody(exchange.request, limits.bodyBytes);
  const session = door.resolve(id, 'sse', exchange.caller);
  readBody(exchange, limits.bodyBytes, {
    onBody: (bytes) => {
      try {
        session.receive(scanClientMessage(bytes, limits), session.streams.general, exchange.caller);
        // Who was told that it was taken is answered, also by another replica.
        session.streams.whenSent(() => sendEmpty(exchange.response, 202, exchange.headers));
      } catch (error) {
        refuseOrMove(exchange, error, bytes);
      }
    },
    onRefused: (error) => refuse(exchange, error),
  });
}
