import type { Socket } from 'node:net';
import { COPIED_BYTES, inOneBuffer } from '../core/one-buffer.js';
import { turnWrites } from '../core/turn-writes.js';
import type { HttpRequest } from './types.js';

/** Writes requests to one origin, head and body in one go. */
export class RequestWriter {
  readonly #fixedLines: string;
  #checkedPath = '/';
  #checkedHeaders = '';

  /** @param hostHeader Host and, if not the scheme's own, port. */
  constructor(hostHeader: string) {
    this.#fixedLines = ` HTTP/1.1\r\nhost: ${hostHeader}\r\naccept-encoding: identity\r\n`;
  }

  /** @throws {TypeError} the path could end the request line, or a header is not Latin-1 text */
  check(request: HttpRequest): void {
    const { path, headers } = request;
    if (path !== this.#checkedPath) {
      if (!/^\/[\x21-\x7e]*$/.test(path) || path.includes('#')) throw new TypeError('illegal request path');
      this.#checkedPath = path;
    }
    if (headers !== this.#checkedHeaders) {
      // Written as Latin-1, U+010A becomes a line feed: a character cut short must not start a header of its own.
      if (/[^\t\r\n\x20-\x7e\x80-\xff]/.test(headers)) throw new TypeError('illegal character in the request headers');
      if (headers !== '' && !headers.endsWith('\r\n')) throw new TypeError('request headers without their line end');
      this.#checkedHeaders = headers;
    }
  }

  /** @param onFlushed Called when the last byte went to the system, unless that was at once. @returns whether it was */
  write(socket: Socket, request: HttpRequest, onFlushed: () => void): boolean {
    const { body, method } = request;
    const start = `${method} ${request.path}${this.#fixedLines}${request.headers}`;
    if (body === undefined || body.length === 0) {
      turnWrites.hold(socket);
      socket.write(`${start}${method === 'POST' ? 'content-length: 0\r\n\r\n' : '\r\n'}`, 'latin1');
      return true;
    }
    const head = `${start}content-length: ${body.length}\r\n\r\n`;
    if (body.length <= COPIED_BYTES) {
      turnWrites.hold(socket);
      socket.write(inOneBuffer(head, body));
      return true;
    }
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body, onFlushed);
    socket.uncork();
    return false;
  }
}
