/**
 * Streamable HTTP toward an upstream (revisions 2025-03-26 to 2025-11-25): every message is a POST whose answer is JSON or an event stream,
 * and one GET stream carries what answers nothing. The stream a message came on says which exchange it belongs to.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
 */
import type { Logger } from '../core/logger.js';
import type { TimerWheel } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import type { Delivery } from '../protocol/transport.js';
import { UpstreamFailedError, UpstreamSessionGoneError } from './errors.js';
import { renderHeaders } from '../http-client/headers.js';
import type { HttpCall, HttpRequester, ResponseHandler } from '../http-client/types.js';
import { GeneralStream } from './streamable-http-general.js';
import { PostCall } from './streamable-http-post.js';
import type { StreamableSession } from './streamable-http-session.js';
import type { UpstreamCall, UpstreamListener, UpstreamTransport } from './transport.js';

export interface StreamableHttpOptions {
  readonly http: HttpRequester;
  readonly timers: TimerWheel;
  readonly logger: Logger;
  readonly url: URL;
  /** Rendered header lines sent with every request. */
  readonly headers: string;
  readonly connectTimeoutMs: number;
  readonly maxMessageBytes: number;
}

const POST_HEADERS = renderHeaders([
  ['content-type', 'application/json'],
  ['accept', 'application/json, text/event-stream'],
]);
const STREAM_HEADERS = renderHeaders([['accept', 'text/event-stream']]);

export class StreamableHttpTransport implements UpstreamTransport, StreamableSession {
  readonly kind = 'streamable-http';
  readonly http: HttpRequester;
  readonly path: string;
  readonly timers: TimerWheel;
  readonly logger: Logger;
  readonly maxMessageBytes: number;
  readonly #options: StreamableHttpOptions;
  readonly #listener: UpstreamListener;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** Header lines of any request of this session. */
  #sessionHeaders: string;
  #postHeaders: string;
  #general: GeneralStream | undefined;
  /** On a connection that somebody else had. */
  #heardUpTo: string | undefined;
  #isClosed = false;

  constructor(options: StreamableHttpOptions, listener: UpstreamListener) {
    this.#options = options;
    this.http = options.http;
    this.timers = options.timers;
    this.logger = options.logger;
    this.maxMessageBytes = options.maxMessageBytes;
    this.path = options.url.pathname + options.url.search;
    this.#listener = listener;
    this.#sessionHeaders = options.headers;
    this.#postHeaders = options.headers + POST_HEADERS;
  }

  /** Nothing to open: the first POST opens the session. */
  async start(): Promise<void> {}

  send(message: Message, delivery: Delivery, headers: string | undefined): UpstreamCall {
    const call = new PostCall(this, message, delivery);
    if (this.#isClosed) delivery.failed(new UpstreamFailedError('the upstream session is closed', 'no'));
    else call.start(headers === undefined ? this.#postHeaders : this.#postHeaders + headers);
    return call;
  }

  setProtocolVersion(version: string): void {
    this.#version = version;
    this.#renderHeaders();
  }

  async openGeneralStream(): Promise<void> {
    // A client that says `initialized` again gets no second one.
    if (this.#isClosed || this.#general !== undefined) return;
    this.#general = new GeneralStream(this, this.#heardUpTo);
    await this.#general.open();
  }

  pause(): void {
    this.#general?.pause();
  }

  resume(): void {
    this.#general?.resume();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.abandon();
    if (this.#sessionId !== undefined) await this.#deleteSession();
  }

  abandon(): void {
    this.#isClosed = true;
    this.#general?.close();
  }

  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  continueSession(id: string, protocolVersion: string, heardUpTo: string | undefined): void {
    this.#version = protocolVersion;
    this.#heardUpTo = heardUpTo;
    this.adopt(id);
  }

  get hasId(): boolean {
    return this.#sessionId !== undefined;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The answer to `initialize` names the session, or does not when the server is stateless. */
  adopt(id: string | undefined): void {
    if (this.#sessionId !== undefined || id === undefined || !/^[\x21-\x7e]+$/.test(id)) return;
    this.#sessionId = id;
    this.#renderHeaders();
  }

  openStream(lastEventId: string | undefined, handler: ResponseHandler): HttpCall {
    const resume = lastEventId === undefined ? [] : [['last-event-id', lastEventId] as const];
    const headers = this.#sessionHeaders + STREAM_HEADERS + renderHeaders(resume);
    const headersTimeoutMs = this.#options.connectTimeoutMs;
    return this.http.request({ method: 'GET', path: this.path, headers, headersTimeoutMs, retryStale: true }, handler);
  }

  deliver(message: Message, related: Delivery | undefined): void {
    if (!this.#isClosed) this.#listener.onMessage(message, related);
  }

  heard(eventId: string | undefined): void {
    if (!this.#isClosed && this.#sessionId !== undefined) this.#listener.onHeard(this.#sessionId, eventId);
  }

  gone(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#general?.close();
    this.#listener.onLost(new UpstreamSessionGoneError());
  }

  #renderHeaders(): void {
    const own: [string, string][] = [];
    if (this.#sessionId !== undefined) own.push(['mcp-session-id', this.#sessionId]);
    if (this.#version !== undefined) own.push(['mcp-protocol-version', this.#version]);
    this.#sessionHeaders = this.#options.headers + renderHeaders(own);
    this.#postHeaders = this.#sessionHeaders + POST_HEADERS;
  }

  /** Best effort: the server may not allow it (405), and nobody waits for the answer. */
  #deleteSession(): Promise<void> {
    const { http, timers, connectTimeoutMs } = this.#options;
    return new Promise((resolve) => {
      const timer = timers.schedule(connectTimeoutMs, () => {
        call.abort();
        resolve();
      });
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      const call: HttpCall = http.request(
        {
          method: 'DELETE',
          path: this.path,
          headers: this.#sessionHeaders,
          headersTimeoutMs: connectTimeoutMs,
          retryStale: true,
        },
        { onHeaders: () => {}, onData: () => {}, onEnd: done, onError: done },
      );
    });
  }
}
