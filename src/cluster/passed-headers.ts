/** Which headers of a client travel on to the owner of its session, and which of the owner's answer travel back. */

import { isLocalHeader } from '../protocol/local-headers.js';

export type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Said by the envelope. */
const TOLD = /^(?:host|forwarded|x-forwarded-.*)$/;
const TOLD_FLAG = 'header:';
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
const ILLEGAL_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Everything a gateway says in an answer, but for what is about one connection and what the edge says itself (CORS). */
const ANSWERED: readonly string[] = [
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
];

/** @throws {TypeError} a name or value cannot stand in a request head; Node's parser lets none such in */
export function passedHeaders(headers: IncomingHeaders): Map<string, string> {
  const passed = new Map<string, string>();
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || isLocalHeader(name) || TOLD.test(name)) continue;
    const text = typeof value === 'string' ? value : value.join(', ');
    if (!TOKEN.test(name) || ILLEGAL_VALUE.test(text)) throw new TypeError(`header ${JSON.stringify(name)} is illegal`);
    passed.set(name, text);
  }
  return passed;
}

/**
 * What policies may ask for, and what stands between two replicas may change: it travels in the envelope.
 *
 * @returns flags of the envelope
 */
export function toldHeaders(headers: IncomingHeaders): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || !TOLD.test(name)) continue;
    flags[TOLD_FLAG + name] = typeof value === 'string' ? value : value.join(', ');
  }
  return flags;
}

/** The client's headers, as far as the other replica is told of them. */
export function withToldHeaders(passed: IncomingHeaders, flags: Readonly<Record<string, string>>): IncomingHeaders {
  const told = Object.entries(flags).filter(([flag]) => flag.startsWith(TOLD_FLAG));
  return { ...passed, ...Object.fromEntries(told.map(([flag, value]) => [flag.slice(TOLD_FLAG.length), value])) };
}

/** `name: value\r\n` lines. */
export function renderLines(headers: ReadonlyMap<string, string>): string {
  let lines = '';
  for (const [name, value] of headers) lines += `${name}: ${value}\r\n`;
  return lines;
}

/** Flat name, value, name, value ... */
export function answeredHeaders(headers: { get(name: string): string | undefined }): string[] {
  const list: string[] = [];
  for (const name of ANSWERED) {
    const value = headers.get(name);
    if (value !== undefined) list.push(name, value);
  }
  return list;
}
