/** The answer to what never became a request: the parser gave up, so there is only the socket to write to. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorBody } from '../protocol/json-rpc.js';
import { COMMON_HEADERS } from './respond.js';

const STATUS_BY_CODE: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', '413 Payload Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
  ['METHOD', '405 Method Not Allowed'],
]);
const ALLOW = 'Allow: GET, POST, DELETE, OPTIONS\r\n';
/** How long a client may take to read the answer and close; closing at once could reset the connection under it. */
const LINGER_MS = 2000;

const answered = new WeakSet<Duplex>();

export function answerBadRequest(error: { readonly code?: string }, socket: Duplex): void {
  // Everything the client sends after the first mistake is one more mistake to the parser.
  if (answered.has(socket)) return;
  const pending = pendingAnswer(socket);
  // A connection that was opened in advance and never used is no request that could be answered: a late 408 would be
  // taken for the answer to the request that is just coming.
  const isUnused = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && (socket as { bytesRead?: number }).bytesRead === 0;
  // With the request before it read to its end, bytes of ours would be taken for the answer to that one.
  if (error.code === 'ECONNRESET' || !socket.writable || isUnused || pending?.req.complete) {
    socket.destroy();
    return;
  }
  answered.add(socket);
  if (pending?.headersSent) socket.end();
  else socket.end(render(STATUS_BY_CODE.get(error.code ?? '') ?? '400 Bad Request'));
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

function render(status: string): string {
  const message = status.slice(status.indexOf(' ') + 1).toLowerCase();
  const body = JSON.stringify(errorBody(undefined, { code: ErrorCode.invalidRequest, message }));
  const headers = [...COMMON_HEADERS, 'content-type', 'application/json', 'content-length', String(body.length)];
  let lines = status.startsWith('405') ? ALLOW : '';
  for (let i = 0; i < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `HTTP/1.1 ${status}\r\nConnection: close\r\n${lines}\r\n${body}`;
}

/** The answer to the request that was read last, if it is due or being written; Node keeps it on the socket. */
function pendingAnswer(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}
