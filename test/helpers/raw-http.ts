/**
 * HTTP on bare sockets, for what a proper client cannot send or would hide: any bytes, at any pace, and the answer
 * as it stood on the wire. Parses leniently and judges nothing.
 */
import { connect, type Socket } from 'node:net';
import { delay, waitFor } from './wait.js';

export interface RawResponse {
  readonly status: number;
  /** Names in lower case; the last of several wins. */
  readonly headers: ReadonlyMap<string, string>;
  /** Names and values in order, as sent. */
  readonly rawHeaders: readonly (readonly [string, string])[];
  /** Chunked coding removed. */
  readonly body: string;
}

export class RawConnection {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #error: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    socket.on('end', () => {
      this.#ended = true;
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.#closed = true;
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawConnection(socket);
  }

  /** Everything received so far that no `response()` has taken. */
  get received(): string {
    return this.#received.toString('latin1');
  }

  /** The peer has ended or reset the connection. */
  get closedByPeer(): boolean {
    return this.#ended || this.#error !== undefined;
  }

  /** The peer reset the connection instead of ending it. */
  get wasReset(): boolean {
    return this.#error !== undefined;
  }

  send(bytes: string | Buffer): void {
    if (!this.#closed) this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes);
  }

  /** Sends `chunkBytes` bytes every `intervalMs` milliseconds; stops when the peer closes. */
  async sendSlowly(bytes: string | Buffer, chunkBytes = 1, intervalMs = 1): Promise<void> {
    const buffer = Buffer.from(bytes);
    for (let start = 0; start < buffer.length && !this.closedByPeer; start += chunkBytes) {
      this.send(buffer.subarray(start, start + chunkBytes));
      await delay(intervalMs);
    }
  }

  /** Takes the next complete response off the connection; one without a length is complete when the peer closes. */
  async response(timeoutMs = 5000): Promise<RawResponse> {
    const { response, length } = await waitFor(
      `a response; so far: ${JSON.stringify(this.received)}`,
      () => {
        const parsed = parseResponse(this.received, this.closedByPeer);
        if (parsed === undefined && this.closedByPeer) throw new Error(`closed after ${JSON.stringify(this.received)}`);
        return parsed;
      },
      timeoutMs,
    );
    this.#received = this.#received.subarray(length);
    return response;
  }

  /** Waits for the head of a response whose body never ends, such as an SSE stream; takes nothing. */
  async head(timeoutMs = 5000): Promise<Omit<RawResponse, 'body'>> {
    return waitFor('a response head', () => parseHead(this.received), timeoutMs);
  }

  async closed(timeoutMs = 5000): Promise<void> {
    await waitFor('the peer to close', () => this.closedByPeer, timeoutMs);
  }

  /** Ends our side only. */
  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Sends one request on a new connection and returns the response. */
export async function rawRequest(port: number, bytes: string | Buffer, timeoutMs?: number): Promise<RawResponse> {
  const connection = await RawConnection.open(port);
  try {
    connection.send(bytes);
    return await connection.response(timeoutMs);
  } finally {
    connection.destroy();
  }
}

/** The bytes of a POST with a JSON body; `headers` add to or replace the usual ones. */
export function jsonPost(path: string, body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const content = Buffer.from(body);
  const fields = {
    Host: '127.0.0.1',
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'Content-Length': String(content.length),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), content]);
}

interface Head extends Omit<RawResponse, 'body'> {
  readonly length: number;
}

function parseHead(text: string): Head | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const rawHeaders = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: new Map(rawHeaders.map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders,
    length: end + 4,
  };
}

function parseResponse(text: string, isClosed: boolean): { response: RawResponse; length: number } | undefined {
  const head = parseHead(text);
  if (head === undefined) return undefined;
  const { status, headers, rawHeaders } = head;
  const rest = text.slice(head.length);
  const done = (body: string, length: number) => ({
    // Received as latin1 so that lengths count bytes; the body is UTF-8.
    response: { status, headers, rawHeaders, body: Buffer.from(body, 'latin1').toString('utf8') },
    length: head.length + length,
  });
  if (status === 204 || status === 304 || status < 200) return done('', 0);
  if (headers.get('transfer-encoding') === 'chunked') {
    const chunked = parseChunked(rest);
    return chunked === undefined ? undefined : done(chunked.body, chunked.length);
  }
  const contentLength = headers.get('content-length');
  if (contentLength === undefined) return isClosed ? done(rest, rest.length) : undefined;
  return rest.length < Number(contentLength)
    ? undefined
    : done(rest.slice(0, Number(contentLength)), Number(contentLength));
}

function parseChunked(text: string): { body: string; length: number } | undefined {
  let body = '';
  let position = 0;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', position);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(position, lineEnd), 16);
    const start = lineEnd + 2;
    if (text.length < start + size + 2) return undefined;
    if (size === 0) return { body, length: start + 2 };
    body += text.slice(start, start + size);
    position = start + size + 2;
  }
}
