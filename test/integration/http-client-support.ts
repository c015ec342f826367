/** What the tests of the HTTP client share: a recording handler, and a server that speaks byte by byte. */
import { createServer, type Socket } from 'node:net';
import { TimerWheel } from '../../src/core/timer-wheel.js';
import { HttpClient } from '../../src/http-client/client.js';
import type { HttpClientError } from '../../src/http-client/errors.js';
import type {
  HttpCall,
  HttpClientOptions,
  HttpRequest,
  ResponseHandler,
  ResponseHeaders,
} from '../../src/http-client/types.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { waitFor, within } from '../helpers/wait.js';

/** Takes down everything a call hands out, in order. */
export class Recorder implements ResponseHandler {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  status = 0;
  headers: ResponseHeaders | undefined;
  error: HttpClientError | undefined;

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.events.push('headers');
    this.status = status;
    this.headers = headers;
  }

  onData(chunk: Buffer): void {
    if (this.events.at(-1) !== 'data') this.events.push('data');
    this.chunks.push(Buffer.from(chunk));
  }

  onEnd(): void {
    this.events.push('end');
  }

  onError(error: HttpClientError): void {
    this.events.push('error');
    this.error = error;
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  get isOver(): boolean {
    return this.events.includes('end') || this.events.includes('error');
  }

  /** Waits for the last callback. */
  async over(timeoutMs = 5000): Promise<this> {
    await waitFor('the end of a call', () => this.isOver, timeoutMs);
    return this;
  }
}

export const GET: HttpRequest = { method: 'GET', path: '/', headers: '' };

export function post(body: string | Buffer, more: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'POST', path: '/', headers: '', body: Buffer.from(body), ...more };
}

export function start(client: HttpClient, request: HttpRequest): { call: HttpCall; answer: Recorder } {
  const answer = new Recorder();
  return { call: client.request(request, answer), answer };
}

/** Sends and waits for the last callback. */
export function send(client: HttpClient, request: HttpRequest = GET): Promise<Recorder> {
  return start(client, request).answer.over();
}

export function newClient(port: number, options: Partial<HttpClientOptions> = {}): HttpClient {
  return new HttpClient({
    origin: new URL(`http://127.0.0.1:${port}`),
    connectTimeoutMs: 2000,
    headersTimeoutMs: 2000,
    // Longer than any wait, so that no socket closes for want of use in a test about something else.
    idleSocketTimeoutMs: 60_000,
    timers: new TimerWheel(5),
    ...options,
  });
}

/** Gives `use` a client, and closes it whatever happens. */
export async function withClient<T>(
  port: number,
  options: Partial<HttpClientOptions>,
  use: (client: HttpClient) => Promise<T>,
): Promise<T> {
  const client = newClient(port, options);
  try {
    return await use(client);
  } finally {
    await within('the client to close', client.close());
  }
}

export interface RawServer {
  readonly port: number;
  /** All sockets ever accepted, in order. */
  readonly accepted: readonly Socket[];
  /** Text received on the socket of that number. */
  received(index: number): string;
  close(): Promise<void>;
}

/**
 * @param onRequest Called for every whole request. `bytes` is all of it; `socketNumber` and `requestNumber` count from 0.
 */
export async function startRawServer(
  onRequest: (socket: Socket, socketNumber: number, requestNumber: number) => void,
): Promise<RawServer> {
  const accepted: Socket[] = [];
  const received: string[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const number = accepted.push(socket) - 1;
    received[number] = '';
    let pending = '';
    let requests = 0;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      received[number] += chunk.toString('latin1');
      pending += chunk.toString('latin1');
      for (let end = requestEnd(pending); end >= 0; end = requestEnd(pending)) {
        pending = pending.slice(end);
        onRequest(socket, number, requests);
        requests += 1;
      }
    });
  });
  const listener = await listenOnLoopback(server);
  return {
    port: listener.port,
    accepted,
    received: (index) => received[index] ?? '',
    close: () => listener.close(),
  };
}

/** @returns where the first whole request ends, or -1 */
function requestEnd(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return -1;
  const length = /\r\ncontent-length: (\d+)\r\n/.exec(text.slice(0, head + 2));
  const end = head + 4 + Number(length?.[1] ?? 0);
  return text.length >= end ? end : -1;
}

export const ok = (body: string, headers = ''): string =>
  `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;
