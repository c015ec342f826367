import { FramingError } from './errors.js';
import type { Fields } from './field-scanner.js';

/** How the end of a body is told. `none`: there is no body; `bytes`: how many. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

const NONE: BodyFraming = { kind: 'none' };
const CHUNKED: BodyFraming = { kind: 'chunked' };
const UNTIL_CLOSE: BodyFraming = { kind: 'close' };
const MAX_LENGTH_DIGITS = 15;

/**
 * Decides how the body after `head` ends (RFC 9112 section 6.3). Everything two parsers could read differently is
 * refused: a length together with a transfer coding, a repeated length, any coding but `chunked`.
 *
 * @throws {FramingError}
 */
export function bodyFraming(head: Fields): BodyFraming {
  const coding = head.get('transfer-encoding');
  const length = head.get('content-length');
  if (coding !== undefined) {
    if (length !== undefined) throw new FramingError('both Transfer-Encoding and Content-Length');
    if (head.minorVersion === 0) throw new FramingError('Transfer-Encoding in an HTTP/1.0 response');
    if (coding.toLowerCase() !== 'chunked') throw new FramingError('a transfer coding other than chunked');
  }
  const bytes = length === undefined ? undefined : parseLength(length);
  const { status } = head;
  if (status === 204 || status === 304) return NONE;
  requireIdentity(head);
  if (coding !== undefined) return CHUNKED;
  return bytes === undefined ? UNTIL_CLOSE : { kind: 'length', bytes };
}

/** Whether the server lets the connection live after this response. */
export function isPersistent(head: Fields): boolean {
  const connection = head.get('connection');
  if (connection === undefined) return head.minorVersion === 1;
  if (connection === 'keep-alive') return true;
  const options = new Set(connection.toLowerCase().split(/[\t ]*,[\t ]*/));
  return !options.has('close') && (head.minorVersion === 1 || options.has('keep-alive'));
}

/** @returns the seconds of `Keep-Alive: timeout=N` in milliseconds, or undefined without such a hint */
export function keepAliveHintMs(head: Fields): number | undefined {
  const value = head.get('keep-alive');
  const match = value === undefined ? null : /(?:^|[\s,])timeout=(\d{1,9})(?=$|[\s,])/i.exec(value);
  return match === null ? undefined : Number(match[1]) * 1000;
}

function parseLength(value: string): number {
  // A repeated header arrives joined with a comma and fails here too.
  if (value.length > MAX_LENGTH_DIGITS || !/^\d+$/.test(value))
    throw new FramingError('illegal or repeated Content-Length');
  return Number(value);
}

/** We ask for `identity`, and what we hand out is judged as text: bytes we cannot read must not pass. */
function requireIdentity(head: Fields): void {
  const encoding = head.get('content-encoding');
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new FramingError('a Content-Encoding we did not ask for');
}
