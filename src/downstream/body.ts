/** Reading a request body: all of it, within bounds, or not at all. */
import type { ServedRequest } from '../http-server/types.js';
import { HttpRefusalError } from './errors.js';
import type { HttpExchange } from './http-exchange.js';

/**
 * Checks what the headers say of the body.
 *
 * @throws {HttpRefusalError} 415: not JSON in UTF-8, or encoded; 413: announced larger than `maxBytes`
 */
export function refuseForeignBody(request: ServedRequest, maxBytes: number): void {
  const { headers } = request;
  if (!isJson(headers['content-type'])) throw new HttpRefusalError(415, 'the body must be application/json');
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new HttpRefusalError(415, 'encoded bodies are not accepted');
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

function isJson(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true;
  if (contentType === undefined) return false;
  const [type, ...parameters] = contentType.split(';').map((part) => part.trim().toLowerCase());
  if (type !== 'application/json') return false;
  return parameters.every((text) => !text.startsWith('charset=') || /^charset="?utf-8"?$/.test(text));
}

export interface BodyReceiver {
  /** The whole body. The bytes are the receiver's own. */
  onBody(bytes: Buffer): void;
  onRefused(error: HttpRefusalError): void;
}

/** Nothing is told when the client goes away before the end: there is nobody left to answer. */
export function readBody({ request, body }: HttpExchange, maxBytes: number, receiver: BodyReceiver): void {
  if (body === undefined) readRequest(request, maxBytes, receiver);
  else if (body.length > maxBytes) receiver.onRefused(tooLarge(maxBytes));
  else receiver.onBody(body);
}

function readRequest(request: ServedRequest, maxBytes: number, receiver: BodyReceiver): void {
  let first: Buffer | undefined;
  let chunks: Buffer[] | undefined;
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      request.removeAllListeners('data');
      request.removeAllListeners('end');
      request.resume();
      receiver.onRefused(tooLarge(maxBytes));
    } else if (first === undefined) first = chunk;
    else {
      chunks ??= [first];
      chunks.push(chunk);
    }
  });
  request.on('end', () => receiver.onBody(chunks === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(chunks)));
}

function tooLarge(maxBytes: number): HttpRefusalError {
  return new HttpRefusalError(413, `the body is larger than ${maxBytes} bytes`);
}
