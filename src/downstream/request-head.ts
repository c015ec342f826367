/** The strict reading of a request line and headers: what could be understood in two ways is refused before anything acts on it. */
import type { IncomingMessage } from 'node:http';
import { HttpRefusalError } from './errors.js';

/** Headers that decide something here; a second one of the same name would be read one way by us and another way by somebody else. */
const SINGLE_HEADERS: ReadonlyMap<string, number> = new Map(
  [
    'host',
    'origin',
    'authorization',
    'content-type',
    'content-length',
    'content-encoding',
    'transfer-encoding',
    'mcp-session-id',
    'mcp-protocol-version',
    'last-event-id',
    'x-api-key',
    'mcp-method',
    'mcp-name',
  ].map((name, index) => [name, 1 << index]),
);

export const MAX_HEADERS = 100;

const HOST_BIT = SINGLE_HEADERS.get('host') as number;

/** @throws {HttpRefusalError} 400: a header that may come once came twice, no host, an odd coding; 431: too many headers */
export function refuseAmbiguousHeaders(request: IncomingMessage): void {
  const { rawHeaders } = request;
  if (rawHeaders.length > MAX_HEADERS * 2) throw new HttpRefusalError(431, 'too many headers');
  let seen = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const bit = SINGLE_HEADERS.get(name) ?? SINGLE_HEADERS.get(name.toLowerCase());
    if (bit === undefined) continue;
    if ((seen & bit) !== 0) throw new HttpRefusalError(400, `header ${name.toLowerCase()} was sent twice`);
    seen |= bit;
  }
  // A probe that speaks HTTP/1.0 need not send one.
  if ((seen & HOST_BIT) === 0 && request.httpVersion !== '1.0')
    throw new HttpRefusalError(400, 'header host is missing');
  refuseOddCoding(request);
}

/** Node takes any list that ends in `chunked`, and leaves the other codings in the body. */
function refuseOddCoding(request: IncomingMessage): void {
  const coding = request.headers['transfer-encoding'];
  if (coding === undefined) return;
  if (coding.toLowerCase() === 'chunked' && request.httpVersion === '1.1') return;
  throw new HttpRefusalError(400, 'this transfer coding is not understood here', [['connection', 'close']]);
}

/** Node lets bytes through that no URL has; other replicas, for one, do not. */
const ILLEGAL_IN_QUERY = /[^\x21-\x7e]|#/;

export interface RequestTarget {
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
}

/**
 * Splits a request target and undoes percent-encoding once.
 *
 * @throws {HttpRefusalError} 400: not origin form, a path that could be read as another one, or a query with bytes that no URL has
 */
export function parseTarget(url: string): RequestTarget {
  const mark = url.indexOf('?');
  const rawPath = mark === -1 ? url : url.slice(0, mark);
  const query = mark === -1 ? '' : url.slice(mark + 1);
  if (ILLEGAL_IN_QUERY.test(query)) throw new HttpRefusalError(400, 'the query is no part of a URL');
  if (!rawPath.startsWith('/')) throw new HttpRefusalError(400, 'the request target must be a path');
  const path = rawPath.includes('%') ? decodePath(rawPath) : rawPath;
  if (/[\\\0]|\/\/|\/\.\.?(?:\/|$)/.test(path)) throw new HttpRefusalError(400, 'ambiguous path');
  return { path, query };
}

function decodePath(rawPath: string): string {
  if (/%(?:2f|5c|00)/i.test(rawPath)) throw new HttpRefusalError(400, 'ambiguous path');
  try {
    return decodeURIComponent(rawPath);
  } catch {
    throw new HttpRefusalError(400, 'the path is not valid percent-encoding');
  }
}

/** One value of a query string; undefined when absent. Given twice, it is refused. */
export function queryValue(query: string, name: string): string | undefined {
  // The usual request has this one parameter and nothing else.
  if (query.startsWith(`${name}=`) && !query.includes('&')) {
    const value = query.slice(name.length + 1);
    if (!value.includes('%') && !value.includes('+')) return value;
  }
  const values = new URLSearchParams(query).getAll(name);
  if (values.length > 1) throw new HttpRefusalError(400, `${name} was given twice`);
  return values[0];
}
