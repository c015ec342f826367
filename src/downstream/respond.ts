/** Writing answers: the headers every one of them carries, and the few forms they come in. */
import type { ServerResponse } from 'node:http';
import { errorBody } from '../protocol/json-rpc.js';
import { toWireError } from './error-response.js';

/** Flat name, value, name, value ... as `writeHead` takes it without looking at each. */
export type HeaderList = readonly string[];

const COMMON: HeaderList = [
  'cache-control',
  'no-store',
  'x-content-type-options',
  'nosniff',
  'referrer-policy',
  'no-referrer',
];
const EMPTY: HeaderList = [...COMMON, 'content-length', '0'];
const JSON_TYPE: HeaderList = [...COMMON, 'content-type', 'application/json'];
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

export function sendEmpty(response: ServerResponse, status: number, extra: HeaderList): void {
  response.writeHead(status, extra.length === 0 ? (EMPTY as string[]) : [...EMPTY, ...extra]);
  response.end();
}

export function sendJson(response: ServerResponse, status: number, body: Buffer | string, extra: HeaderList): void {
  const length = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  response.writeHead(status, [...JSON_TYPE, 'content-length', length, ...extra]);
  response.end(body);
}

/** For a stream of unknown length. The connection serves nothing else afterwards, which saves the framing of every event. */
export function openEventStream(response: ServerResponse, extra: HeaderList): void {
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, [...EVENT_STREAM, ...extra]);
}

/** For the answer to one request: the connection can be used again after it. */
export function openReplyStream(response: ServerResponse, extra: HeaderList): void {
  response.writeHead(200, [...EVENT_STREAM, ...extra]);
}

/** Answers with an error, once; an answer that has begun is cut instead. */
export function sendError(response: ServerResponse, error: unknown, extra: HeaderList): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const wire = toWireError(error);
  const body = JSON.stringify(errorBody(wire.id, wire.rpc));
  sendJson(response, wire.status, body, [...wire.headers, ...extra]);
}
