/**
 * Streamable HTTP toward clients (revisions 2025-03-26 to 2025-11-25): POST for every message, GET for what answers nothing, DELETE to say goodbye.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
 */
import type { ServedRequest } from '../http-server/types.js';
import { classify, type MirrorHeaders } from '../protocol/classify.js';
import {
  allowsBatch,
  ASSUMED_HTTP_VERSION,
  isLegacyVersion,
  isModernVersion,
  understandsPrimingEvent,
} from '../protocol/eras.js';
import type { Message } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { scanClientBody } from '../protocol/scan.js';
import { InvalidMessageError } from '../protocol/scan-errors.js';
import { SessionMovedError, SessionProtocolError, SessionUnknownError } from '../protocol/session-errors.js';
import { errorResponse } from '../protocol/json-rpc.js';
import type { ClientStream } from '../protocol/transport.js';
import { readBody, refuseForeignBody } from './body.js';
import type { ClientSession, RouteDoor } from './client-session.js';
import { toWireError } from './error-response.js';
import { HttpRefusalError, UnsupportedVersionError } from './errors.js';
import { type HttpExchange, refuse, refuseOrMove } from './http-exchange.js';
import { openEventStream, sendEmpty } from './respond.js';
import { type MessageLimits, RETRY_MS } from './sse.js';
import { encodeRetry, parseEventId } from './sse-encode.js';
import { whenAdmitted } from './stream-admission.js';
import { StatelessReply } from './stateless-reply.js';
import { StreamableReply } from './streamable-reply.js';

const NO_HEADERS: readonly string[] = [];

export function receiveStreamable(exchange: HttpExchange, door: RouteDoor, limits: MessageLimits): void {
  const { request } = exchange;
  refuseForeignBody(request, limits.bodyBytes);
  if (!accepts(request, 'application/json') || !accepts(request, 'text/event-stream')) {
    throw new HttpRefusalError(406, 'the client must accept application/json and text/event-stream');
  }
  readBody(exchange, limits.bodyBytes, {
    onBody: (bytes) => {
      try {
        receive(exchange, door, scanClientBody(bytes, limits));
      } catch (error) {
        refuseOrMove(exchange, error, bytes);
      }
    },
    onRefused: (error) => refuse(exchange, error),
  });
}

function receive(exchange: HttpExchange, door: RouteDoor, body: Message | readonly Message[]): void {
  if (isBatch(body)) {
    refuseUnknownVersion(exchange.request);
    receiveBatch(exchange, door, body);
  } else if (classify(body, mirrorHeaders(exchange.request)) === 'modern') receiveStateless(exchange, door, body);
  else {
    refuseUnknownVersion(exchange.request);
    receiveLegacy(exchange, door, body);
  }
}

/** Nothing of this revision outlives its request: no session is looked for, and none is named. */
function receiveStateless(exchange: HttpExchange, door: RouteDoor, message: Message): void {
  if (message.kind === 'request') {
    const reply = new StatelessReply(exchange, door.timers, door.clock);
    orWithdraw(reply, () => door.receiveStateless(message, reply, exchange.caller));
    return;
  }
  door.receiveStateless(message, undefined, exchange.caller);
  sendEmpty(exchange.response, 202, exchange.headers);
}

/** What is thrown is answered by somebody else, so the reply must not answer too when its time comes. */
function orWithdraw(reply: StreamableReply | StatelessReply, handOver: () => void): void {
  try {
    handOver();
  } catch (error) {
    reply.withdraw();
    throw error;
  }
}

function mirrorHeaders(request: ServedRequest): MirrorHeaders {
  const { headers } = request;
  return {
    version: single(headers['mcp-protocol-version']),
    method: single(headers['mcp-method']),
    name: single(headers['mcp-name']),
  };
}

/** The headers concerned were refused already when they came twice. */
function single(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function receiveLegacy(exchange: HttpExchange, door: RouteDoor, body: Message): void {
  if (body.method === Method.initialize && body.kind === 'request') initialize(exchange, door, body);
  else {
    const session = sessionOf(exchange, door, body);
    if (body.kind === 'request') {
      const reply = new StreamableReply(exchange, session, NO_HEADERS, [body]);
      orWithdraw(reply, () => session.receive(body, reply, exchange.caller));
    } else {
      session.receive(body, session.streams.general, exchange.caller);
      sendEmpty(exchange.response, 202, exchange.headers);
    }
  }
}

function isBatch(body: Message | readonly Message[]): body is readonly Message[] {
  return Array.isArray(body);
}

/** A stale id that comes with `initialize` is a client starting anew; an id that lives is a client that has lost its way. */
function initialize(exchange: HttpExchange, door: RouteDoor, message: Message): void {
  const oldId = exchange.request.headers['mcp-session-id'];
  if (typeof oldId === 'string' && isLive(exchange, door, oldId)) {
    throw new SessionProtocolError('this session is initialized already', message.id);
  }
  const session = door.open('streamable-http', exchange.caller);
  const reply = new StreamableReply(exchange, session, ['mcp-session-id', session.id], [message]);
  try {
    orWithdraw(reply, () => session.receive(message, reply, exchange.caller));
  } catch (error) {
    session.close('refused');
    throw error;
  }
}

function isLive(exchange: HttpExchange, door: RouteDoor, id: string): boolean {
  try {
    door.resolve(id, 'streamable-http', exchange.caller);
    return true;
  } catch (error) {
    if (error instanceof SessionUnknownError) return false;
    throw error;
  }
}

/** Every entry is a message of its own; what answers them comes on one stream. */
function receiveBatch(exchange: HttpExchange, door: RouteDoor, messages: readonly Message[]): void {
  const session = sessionOf(exchange, door, undefined);
  if (!allowsBatch(session.protocolVersion ?? '')) {
    throw new InvalidMessageError('batches do not exist in this revision of the protocol');
  }
  if (messages.some((message) => message.method === Method.initialize)) {
    throw new InvalidMessageError('initialize cannot be part of a batch');
  }
  const requests = messages.filter((message) => message.kind === 'request');
  // As a whole, or some entries would be answered with errors that no client can do anything about.
  if (session.departed !== undefined && requests.length > 0) throw new SessionMovedError(session.departed);
  if (requests.length === 0) sendEmpty(exchange.response, 202, exchange.headers);
  const reply =
    requests.length === 0 ? session.streams.general : new StreamableReply(exchange, session, NO_HEADERS, requests);
  for (const message of messages) receiveOfBatch(session, message, reply, exchange);
}

/** The batch is accepted as a whole, so a refusal of one entry is an answer to that entry. */
function receiveOfBatch(session: ClientSession, message: Message, reply: ClientStream, exchange: HttpExchange): void {
  try {
    session.receive(message, reply, exchange.caller);
  } catch (error) {
    if (message.id !== undefined) reply.answer(errorResponse(message.id, toWireError(error).rpc));
  }
}

export function openGeneralStream(exchange: HttpExchange, door: RouteDoor): void {
  const { request } = exchange;
  refuseModern(request);
  if (!accepts(request, 'text/event-stream'))
    throw new HttpRefusalError(406, 'the client must accept text/event-stream');
  refuseUnknownVersion(request);
  const lastEventId = request.headers['last-event-id'];
  if (typeof lastEventId === 'string' && lastEventId !== '') {
    resume(exchange, sessionOf(exchange, door, undefined), lastEventId);
    return;
  }
  whenAdmitted(exchange, door, () => beginGeneralStream(exchange, door));
}

function beginGeneralStream(exchange: HttpExchange, door: RouteDoor): void {
  const { response } = exchange;
  const session = sessionOf(exchange, door, undefined);
  if (exchange.isAnswerOpen !== true) greetStream(exchange);
  session.streams.attachGeneral(response);
  if (understandsPrimingEvent(session.protocolVersion ?? ASSUMED_HTTP_VERSION)) session.streams.general.prime();
}

/** Goes on with the very stream the event was said on, never with another one of the session. */
function resume(exchange: HttpExchange, session: ClientSession, lastEventId: string): void {
  const seen = parseEventId(lastEventId);
  const stream = seen?.sessionId === session.id ? session.streams.findResumable(seen.sequence) : undefined;
  if (seen === undefined || stream === undefined) throw new SessionUnknownError();
  const { response } = exchange;
  if (exchange.isAnswerOpen !== true) greetStream(exchange);
  if (stream === session.streams.general) session.streams.attachGeneral(response, seen.sequence);
  else stream.attach(response, seen.sequence);
}

/** What every stream of a GET begins with, also one whose session is still looked for. */
export function greetStream({ response, headers }: HttpExchange): void {
  openEventStream(response, headers);
  response.write(encodeRetry(RETRY_MS));
}

export function deleteSession(exchange: HttpExchange, door: RouteDoor): void {
  refuseModern(exchange.request);
  sessionOf(exchange, door, undefined).close('the client ended the session');
  sendEmpty(exchange.response, 200, exchange.headers);
}

function sessionOf(exchange: HttpExchange, door: RouteDoor, message: Message | undefined): ClientSession {
  const id = exchange.request.headers['mcp-session-id'];
  if (typeof id !== 'string') throw new SessionProtocolError('the Mcp-Session-Id header is missing', message?.id);
  return door.resolve(id, 'streamable-http', exchange.caller);
}

/** The stateless revision has neither a general stream nor anything to delete. */
function refuseModern(request: ServedRequest): void {
  const version = single(request.headers['mcp-protocol-version']);
  if (version === undefined || !isModernVersion(version)) return;
  throw new HttpRefusalError(405, `${request.method} does not exist in this revision of the protocol`, [
    ['allow', 'POST'],
  ]);
}

function refuseUnknownVersion(request: ServedRequest): void {
  const version = request.headers['mcp-protocol-version'];
  if (typeof version === 'string' && !isLegacyVersion(version)) throw new UnsupportedVersionError(version);
}

function accepts(request: ServedRequest, type: string): boolean {
  const accept = request.headers.accept;
  if (accept === undefined) return false;
  if (accept.includes(type)) return true;
  const group = type.slice(0, type.indexOf('/'));
  return accept.includes('*/*') || accept.includes(`${group}/*`);
}
