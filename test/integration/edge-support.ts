/** What the tests of the strict edge share: requests byte by byte, and what every refusal has to look like. */
import { expect } from 'vitest';
import { RawConnection, type RawResponse } from '../helpers/raw-http.js';

/** A body that opens a session, and with it a connection upstream, if it gets through. */
export const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 'first',
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
});

/** The usual headers of a POST, to add to or to take from. */
export const POST_HEADERS: readonly string[] = [
  'Host: 127.0.0.1',
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
];

/** A request as it goes on the wire; every line as given. */
export function rawRequestText(requestLine: string, headers: readonly string[], body = ''): string {
  return `${[requestLine, ...headers].join('\r\n')}\r\n\r\n${body}`;
}

/** A POST of `body` with these headers instead of the usual ones, and its length. */
export function postText(path: string, headers: readonly string[], body = INITIALIZE): string {
  return rawRequestText(`POST ${path} HTTP/1.1`, [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body);
}

export function getText(path: string, headers: readonly string[] = ['Host: 127.0.0.1']): string {
  return rawRequestText(`GET ${path} HTTP/1.1`, headers);
}

export interface ErrorBody {
  readonly jsonrpc: string;
  readonly id?: unknown;
  readonly error: { readonly code: number; readonly message: string };
}

/** Checks what all refusals have in common, and returns the JSON-RPC error. */
export function refusal(response: RawResponse): ErrorBody {
  expect(response.headers.get('content-type')).toMatch(/^application\/json(; charset=utf-8)?$/);
  expectSecurityHeaders(response);
  const body = JSON.parse(response.body) as ErrorBody;
  expect(body.jsonrpc).toBe('2.0');
  expect(typeof body.error.code).toBe('number');
  expect(body.error.message).not.toBe('');
  // Both official clients fail on `id: null`.
  expect(body.id === undefined || body.id !== null).toBe(true);
  expect('result' in body).toBe(false);
  return body;
}

export function expectSecurityHeaders(response: Pick<RawResponse, 'headers'>): void {
  const { headers } = response;
  expect(headers.get('cache-control')).toMatch(/no-store|no-cache/);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.has('x-powered-by')).toBe(false);
  expect(headers.has('server')).toBe(false);
}

/** Sends bytes on a fresh connection; the answer, and whether the connection was closed after it. */
export async function exchangeRaw(port: number, bytes: string | Buffer, timeoutMs?: number) {
  const connection = await RawConnection.open(port);
  try {
    connection.send(bytes);
    const response = await connection.response(timeoutMs);
    return { response, connection };
  } catch (error) {
    connection.destroy();
    throw error;
  }
}
