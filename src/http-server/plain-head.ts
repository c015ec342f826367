/**
 * Reads the heads of plain requests: those in the one form that leaves nothing to interpretation, which is how every MCP client writes them.
 * Whatever is not exactly so - a repeated header, a transfer coding, an upgrade, an odd byte - is none, and left to Node's parser.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { COLON, CR, HTAB, LF, octetClass, SP, TEXT } from '../core/octets.js';

export interface PlainHead {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The request target as it came. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Where the value of `Content-Length` stands, from the start of the head; 0: there is none, and no body. */
  readonly lengthAt: number;
  readonly lengthEnd: number;
  /** Of the body, in bytes. */
  readonly bodyBytes: number;
  /** Of the head, the empty line included. */
  readonly headBytes: number;
}

/** Fewer than any parser's limit: who sends more is judged by Node. */
export const MAX_HEAD_BYTES = 8 * 1024;
const MAX_HEADERS = 50;
/** Enough for any limit, and exact as a number. */
const MAX_LENGTH_DIGITS = 10;
const VERSION_LINE = Buffer.from(' HTTP/1.1\r\n', 'latin1');

const METHODS = (['POST', 'GET', 'DELETE'] as const).map((method) => ({
  method,
  start: Buffer.from(`${method} /`, 'latin1'),
}));

/** Those that change what a message is, how it is delimited, or what becomes of its connection. */
const LEFT_TO_NODE: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'keep-alive',
  'proxy-connection',
  'set-cookie',
]);

const TARGET = 1;
const NAME = 2;
const DIGIT = 4;

/** What may stand in a request target, in a header name and in a number, as bits. */
const plainClass: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const text = String.fromCharCode(byte);
  const isTarget = byte > SP && byte < 0x7f && text !== '#';
  return (isTarget ? TARGET : 0) | (/[\w-]/.test(text) && text !== '_' ? NAME : 0) | (/\d/.test(text) ? DIGIT : 0);
});

/** Header names as they are mostly written, by name. Bounded: spellings are the client's. */
const spellings = new Map<string, string>();
const MAX_SPELLINGS = 500;

/** @returns the head that stands at `from`; undefined when there is none that is whole and plain */
export function readPlainHead(bytes: Buffer, from: number): PlainHead | undefined {
  const entry = METHODS.find(({ start }) => startsWith(bytes, from, start));
  if (entry === undefined) return undefined;
  const targetStart = from + entry.start.length - 1;
  const targetEnd = skip(bytes, targetStart, plainClass, TARGET);
  if (!startsWith(bytes, targetEnd, VERSION_LINE)) return undefined;
  const fields = readFields(bytes, from, targetEnd + VERSION_LINE.length);
  if (fields === undefined || (entry.method === 'POST') !== fields.lengthAt > 0) return undefined;
  return { method: entry.method, url: bytes.toString('latin1', targetStart, targetEnd), ...fields };
}

type PlainFields = Omit<PlainHead, 'method' | 'url'>;

function readFields(bytes: Buffer, from: number, start: number): PlainFields | undefined {
  const headers: Record<string, string | undefined> = {};
  const limit = Math.min(bytes.length, from + MAX_HEAD_BYTES);
  let at = start;
  let lengthAt = 0;
  let lengthEnd = 0;
  for (let count = 0; count <= MAX_HEADERS; count += 1) {
    if (bytes[at] === CR) {
      const isWhole = bytes[at + 1] === LF && at + 2 <= limit && headers['host'] !== undefined;
      if (!isWhole) return undefined;
      const bodyBytes = lengthAt === 0 ? 0 : Number(headers['content-length']);
      return { headers, lengthAt, lengthEnd, bodyBytes, headBytes: at + 2 - from };
    }
    const nameEnd = skip(bytes, at, plainClass, NAME);
    if (nameEnd === at || bytes[nameEnd] !== COLON) return undefined;
    const valueStart = skipBlanks(bytes, nameEnd + 1);
    const lineEnd = skip(bytes, valueStart, octetClass, TEXT);
    if (bytes[lineEnd] !== CR || bytes[lineEnd + 1] !== LF) return undefined;
    const name = lowerCase(bytes.toString('latin1', at, nameEnd));
    const valueEnd = trimEnd(bytes, valueStart, lineEnd);
    const value = bytes.toString('latin1', valueStart, valueEnd);
    // Inherited members too look like something that came before: such a request is merely no plain one.
    if (headers[name] !== undefined || !isPlainField(name, value)) return undefined;
    headers[name] = value;
    if (name === 'content-length') {
      // Node's parser refuses some of the blanks that may follow any other value.
      if (valueEnd !== lineEnd) return undefined;
      lengthAt = valueStart - from;
      lengthEnd = valueEnd - from;
    }
    at = lineEnd + 2;
  }
  return undefined;
}

/** @returns the digits of a length that start at `from`; empty when there are none, or too many */
export function readLength(bytes: Buffer, from: number): string {
  const end = skip(bytes, from, plainClass, DIGIT);
  return end - from > MAX_LENGTH_DIGITS ? '' : bytes.toString('latin1', from, end);
}

function isPlainField(name: string, value: string): boolean {
  if (name === 'connection') return value.length === 10 && value.toLowerCase() === 'keep-alive';
  if (name === 'content-length') return /^\d+$/.test(value) && value.length <= MAX_LENGTH_DIGITS;
  return !LEFT_TO_NODE.has(name);
}

function lowerCase(name: string): string {
  const known = spellings.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (spellings.size < MAX_SPELLINGS) spellings.set(name, lower);
  return lower;
}

function startsWith(bytes: Buffer, from: number, start: Buffer): boolean {
  for (let i = 0; i < start.length; i += 1) if (bytes[from + i] !== start[i]) return false;
  return true;
}

function skip(bytes: Buffer, from: number, classes: Uint8Array, mask: number): number {
  let at = from;
  while (at < bytes.length && ((classes[bytes[at] as number] as number) & mask) !== 0) at += 1;
  return at;
}

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === SP || bytes[at] === HTAB) at += 1;
  return at;
}

function trimEnd(bytes: Buffer, from: number, to: number): number {
  let at = to;
  while (at > from && (bytes[at - 1] === SP || bytes[at - 1] === HTAB)) at -= 1;
  return at;
}
