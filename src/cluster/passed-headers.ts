/** Which headers of a client travel on to the owner of its session, and which of the owner's answer travel back. */

import { isLocalHeader } from '../protocol/local-headers.js';

export type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Everything a gateway says in an answer, but for what is about one connection and what the edge says itself (CORS). */
export const ANSWERED_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'cache-control',
  'x-accel-buffering',
  'x-content-type-options',
  'referrer-policy',
  'mcp-session-id',
  'mcp-protocol-version',
  'allow',
  'retry-after',
  'www-authenticate',
]);

/** Those that mean something to others than the replica that received them, by lower-case name. */
export function passedHeaders(headers: IncomingHeaders): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || isLocalHeader(name)) continue;
    passed[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return passed;
}
