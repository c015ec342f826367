/**
 * HTTP+SSE toward an upstream (revision 2024-11-05): one GET stream carries everything the server says, every client message is a POST.
 * The session is the stream: when it ends, the session is lost, and saying so is all that happens here - starting anew is the session's work.
 * @see https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
 */
import { describeError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import { SseDecoder, type SseEvent } from '../protocol/sse-decoder.js';
import type { Delivery, UpstreamError } from '../protocol/transport.js';
import {
  UpstreamFailedError,
  UpstreamRefusedError,
  UpstreamSessionGoneError,
  UpstreamTimeoutError,
  WrongTransportError,
} from './errors.js';
import { readMessages } from './answer-body.js';
import type { HttpClientError } from '../http-client/errors.js';
import { renderHeaders } from '../http-client/headers.js';
import type { HttpCall, HttpRequester, ResponseHandler, ResponseHeaders } from '../http-client/types.js';
import { failureOf } from './http-failure.js';
import type { UpstreamCall, UpstreamListener, UpstreamTransport } from './transport.js';

export interface SseTransportOptions {
  readonly http: HttpRequester;
  readonly timers: TimerWheel;
  readonly logger: Logger;
  readonly url: URL;
  /** Rendered header lines sent with every request. */
  readonly headers: string;
  readonly connectTimeoutMs: number;
  readonly maxMessageBytes: number;
}

/** Statuses by which a server says that this is not how it is spoken to. */
const WRONG_TRANSPORT_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 406, 415]);

const STREAM_HEADERS = renderHeaders([
  ['accept', 'text/event-stream'],
  ['cache-control', 'no-cache'],
]);
const JSON_HEADERS = renderHeaders([['content-type', 'application/json']]);

export class SseTransport implements UpstreamTransport {
  readonly kind = 'sse';
  /** The session is the stream, and nobody else can go on with it. */
  readonly sessionId = undefined;
  readonly #options: SseTransportOptions;
  readonly #listener: UpstreamListener;
  readonly #decoder: SseDecoder;
  #stream: HttpCall | undefined;
  #endpointPath: string | undefined;
  #postHeaders: string;
  #isClosed = false;
  #opening: { resolve(): void; reject(error: UpstreamError): void; timer: Timer } | undefined;

  constructor(options: SseTransportOptions, listener: UpstreamListener) {
    this.#options = options;
    this.#listener = listener;
    this.#postHeaders = options.headers + JSON_HEADERS;
    this.#decoder = new SseDecoder({ onEvent: (event) => this.#onEvent(event) }, options.maxMessageBytes);
  }

  start(): Promise<void> {
    const { http, url, headers, timers, connectTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = timers.schedule(connectTimeoutMs, () =>
        this.#fail(new UpstreamTimeoutError('the upstream opened no event stream in time', 'no')),
      );
      this.#opening = { resolve, reject, timer };
      this.#stream = http.request(
        {
          method: 'GET',
          path: url.pathname + url.search,
          headers: headers + STREAM_HEADERS,
          headersTimeoutMs: connectTimeoutMs,
          retryStale: true,
        },
        {
          onHeaders: (status, responseHeaders) => this.#onStreamHeaders(status, responseHeaders),
          onData: (chunk) => this.#onStreamData(chunk),
          onEnd: () => this.#fail(new UpstreamFailedError('the upstream ended the event stream', 'unknown')),
          onError: (error) => this.#fail(failureOf(error)),
        },
      );
    });
  }

  send(message: Message, delivery: Delivery, headers: string | undefined): UpstreamCall {
    const post = new PostHandler(message.kind, delivery, this.#onSessionGone);
    if (this.#endpointPath === undefined || this.#isClosed) {
      delivery.failed(new UpstreamFailedError('the event stream of the upstream is gone', 'no'));
      return post;
    }
    post.call = this.#options.http.request(
      {
        method: 'POST',
        path: this.#endpointPath,
        headers: headers === undefined ? this.#postHeaders : this.#postHeaders + headers,
        body: message.raw,
        retryStale: message.method !== 'tools/call',
      },
      post,
    );
    return post;
  }

  setProtocolVersion(version: string): void {
    this.#postHeaders = this.#options.headers + JSON_HEADERS + renderHeaders([['mcp-protocol-version', version]]);
  }

  async openGeneralStream(): Promise<void> {}

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  async close(): Promise<void> {
    this.abandon();
  }

  abandon(): void {
    this.#isClosed = true;
    this.#opening?.timer.cancel();
    this.#opening = undefined;
    this.#stream?.abort();
  }

  readonly #onSessionGone = (): void => this.#fail(new UpstreamSessionGoneError());

  #onStreamHeaders(status: number, headers: ResponseHeaders): void {
    const contentType = headers.get('content-type') ?? '';
    if (status === 200 && contentType.toLowerCase().startsWith('text/event-stream')) return;
    // What the server calls its answer is its own text, and this one reaches clients.
    const detail = status === 200 ? 'no event stream' : `HTTP ${status}`;
    const isWrongKind = status === 200 || WRONG_TRANSPORT_STATUSES.has(status);
    this.#fail(
      isWrongKind
        ? new WrongTransportError('HTTP+SSE', detail)
        : new UpstreamRefusedError(status, headers.get('retry-after')),
    );
  }

  #onStreamData(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#fail(new UpstreamFailedError(`the upstream broke the event stream: ${describeError(error)}`, 'unknown'));
    }
  }

  #onEvent(event: SseEvent): void {
    if (this.#isClosed) return;
    if (event.event === 'endpoint') this.#onEndpoint(event.data.toString());
    else if (event.event === 'message') readMessages(event.data, this.#options.logger, this.#deliver);
  }

  readonly #deliver = (message: Message): void => this.#listener.onMessage(message, undefined);

  #onEndpoint(reference: string): void {
    if (this.#endpointPath !== undefined) return;
    const { url } = this.#options;
    const endpoint = resolveReference(reference, url);
    // A server that could name another origin could make the gateway post credentials anywhere.
    if (endpoint?.origin !== url.origin) {
      this.#fail(new UpstreamFailedError('the upstream named an endpoint on another origin', 'no'));
      return;
    }
    this.#endpointPath = endpoint.pathname + endpoint.search;
    this.#opening?.timer.cancel();
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  #fail(error: UpstreamError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream?.abort();
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.timer.cancel();
    if (opening !== undefined) opening.reject(error);
    else this.#listener.onLost(error);
  }
}

function resolveReference(reference: string, base: URL): URL | undefined {
  try {
    return new URL(reference, base);
  } catch {
    // Said to the caller as what it is: no endpoint of this server.
    return undefined;
  }
}

/** One POST of a client message; its body is of no interest, its status is. */
class PostHandler implements ResponseHandler, UpstreamCall {
  readonly #kind: Message['kind'];
  readonly #delivery: Delivery;
  readonly #onSessionGone: () => void;
  call: HttpCall | undefined;

  constructor(kind: Message['kind'], delivery: Delivery, onSessionGone: () => void) {
    this.#kind = kind;
    this.#delivery = delivery;
    this.#onSessionGone = onSessionGone;
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    if (status >= 200 && status < 300) this.#delivery.accepted();
    else if (status === 404) {
      this.#delivery.failed(new UpstreamSessionGoneError());
      this.#onSessionGone();
    } else this.#delivery.failed(new UpstreamRefusedError(status, headers.get('retry-after')));
  }

  onData(): void {}

  onEnd(): void {}

  onError(error: HttpClientError): void {
    // The answer to a request comes on the stream and may do so yet; whoever waits for it has a deadline of its own.
    if (error.reason === 'headers_timeout' && this.#kind === 'request') return;
    this.#delivery.failed(failureOf(error));
  }

  // Answers come on the shared stream, so there is nothing of its own to hold back.
  pause(): void {}

  resume(): void {}

  abort(): void {
    this.call?.abort();
  }
}
