/** Writing answers: the headers every one of them carries, and the few forms they come in. */
import type { ServedRequest, ServedResponse } from '../http-server/types.js';
import { errorBody } from '../protocol/json-rpc.js';
import { toWireError } from './error-response.js';

const SMALL_BODY_BYTES = 64 * 1024;
/** How long the rest of an unwanted body is taken and thrown away. */
const LINGER_MS = 5000;
/** A client that takes no byte of its answer for this long is given up. */
const READ_DEADLINE_MS = 10_000;

/** Flat name, value, name, value ... as `writeHead` takes it without looking at each. */
export type HeaderList = readonly string[];

export const COMMON_HEADERS: HeaderList = [
  'cache-control',
  'no-store',
  'x-content-type-options',
  'nosniff',
  'referrer-policy',
  'no-referrer',
];
const EMPTY: HeaderList = [...COMMON_HEADERS, 'content-length', '0'];
const JSON_TYPE: HeaderList = [...COMMON_HEADERS, 'content-type', 'application/json'];
/** No transformation and no buffering by whatever stands between: an event is worth nothing late. */
const EVENT_STREAM: HeaderList = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-cache, no-transform',
  'x-accel-buffering',
  'no',
  'x-content-type-options',
  'nosniff',
  'referrer-policy',
  'no-referrer',
];

export function sendEmpty(response: ServedResponse, status: number, extra: HeaderList): void {
  response.writeHead(status, extra.length === 0 ? (EMPTY as string[]) : [...EMPTY, ...extra]);
  response.end();
}

export function sendJson(response: ServedResponse, status: number, body: Buffer | string, extra: HeaderList): void {
  const length = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  response.writeHead(status, [...JSON_TYPE, 'content-length', length, ...extra]);
  // Node looks whether bytes are taken: a client that merely reads slowly is left alone.
  if (body.length > SMALL_BODY_BYTES) response.setTimeout(READ_DEADLINE_MS);
  // Node sends head and text in one write, head and bytes in two; as Latin-1 the text stands for exactly these bytes.
  if (typeof body !== 'string' && body.length <= SMALL_BODY_BYTES) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}

/** For a stream of unknown length. The connection serves nothing else afterwards, which saves the framing of every event. */
export function openEventStream(response: ServedResponse, extra: HeaderList): void {
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, [...EVENT_STREAM, ...extra]);
}

/** For the answer to one request: the connection can be used again after it. */
export function openReplyStream(response: ServedResponse, extra: HeaderList): void {
  response.writeHead(200, [...EVENT_STREAM, ...extra]);
}

/** Answers with an error, once; an answer that has begun is cut instead. */
export function sendError(response: ServedResponse, error: unknown, extra: HeaderList): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const wire = toWireError(error);
  const body = JSON.stringify(errorBody(wire.id, wire.rpc));
  const headers = [...wire.headers, ...extra];
  if (isWorthReading(response.req, wire.status)) sendJson(response, wire.status, body, headers);
  else sendAndLinger(response, wire.status, body, headers);
}

/** Node reads what is left of a small body and goes on; a large one nobody wants is not worth the time. */
function isWorthReading(request: ServedRequest, status: number): boolean {
  if (request.complete) return true;
  if (status === 413 || request.headers['transfer-encoding'] !== undefined) return false;
  return Number(request.headers['content-length'] ?? 0) <= SMALL_BODY_BYTES;
}

/** Closing while the client still sends would reset the connection, and the answer might be lost with it. */
function sendAndLinger(response: ServedResponse, status: number, body: string, headers: HeaderList): void {
  const { req: request } = response;
  const close = headers.includes('connection') ? [] : ['connection', 'close'];
  response.writeHead(status, [...JSON_TYPE, 'content-length', String(Buffer.byteLength(body)), ...headers, ...close]);
  response.write(body);
  const timer = setTimeout(() => response.end(), LINGER_MS);
  timer.unref();
  request.on('end', () => response.end());
  response.on('close', () => clearTimeout(timer));
  request.resume();
}
