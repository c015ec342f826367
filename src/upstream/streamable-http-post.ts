/** One POST to a Streamable HTTP upstream: the message out; the answer as JSON or as an event stream, resumed when it breaks. */
import { describeError } from '../core/errors.js';
import type { Timer } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import { scanUpstream } from '../protocol/scan.js';
import { SseDecoder } from '../protocol/sse-decoder.js';
import type { Delivery, UpstreamError } from '../protocol/transport.js';
import { UpstreamFailedError, UpstreamRefusedError, UpstreamSessionGoneError, WrongTransportError } from './errors.js';
import type { HttpClientError } from './http/errors.js';
import type { HttpCall, ResponseHandler, ResponseHeaders } from './http/types.js';
import { failureOf } from './http-failure.js';
import { maySendTwice, type StreamableHttpTransport } from './streamable-http-transport.js';
import type { UpstreamCall } from './transport.js';

/** How often a stream that ended early is asked for again without having brought anything new. */
const MAX_FRUITLESS_RESUMES = 5;
const DEFAULT_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
const LINGER_MS = 5000;
/** An error page is read this far for a JSON-RPC error, no further. */
const MAX_ERROR_BODY_BYTES = 64 * 1024;
const WRONG_TRANSPORT_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 406, 415]);

type BodyKind = 'none' | 'json' | 'events' | 'error';

export class PostCall implements UpstreamCall, ResponseHandler {
  readonly #transport: StreamableHttpTransport;
  readonly #message: Message;
  readonly #delivery: Delivery;
  #call: HttpCall | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #body: BodyKind = 'none';
  #chunks: Buffer[] = [];
  #bytes = 0;
  #decoder: SseDecoder | undefined;
  #lastEventId: string | undefined;
  #retryMs = DEFAULT_RETRY_MS;
  #fruitlessResumes = 0;
  #resumeTimer: Timer | undefined;
  #lingerTimer: Timer | undefined;
  #isPaused = false;
  #isOver = false;

  constructor(transport: StreamableHttpTransport, message: Message, delivery: Delivery) {
    this.#transport = transport;
    this.#message = message;
    this.#delivery = delivery;
  }

  start(headers: string): void {
    this.#call = this.#transport.options.http.request(
      {
        method: 'POST',
        path: this.#transport.path,
        headers,
        body: this.#message.raw,
        // The exchange that waits for the answer has its own deadline, and aborts.
        headersTimeoutMs: 0,
        retryStale: maySendTwice(this.#message),
      },
      this,
    );
  }

  pause(): void {
    this.#isPaused = true;
    this.#call?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#call?.resume();
  }

  abort(): void {
    this.#isOver = true;
    this.#resumeTimer?.cancel();
    this.#lingerTimer?.cancel();
    this.#call?.abort();
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    if (status >= 400) this.#retryAfter = headers.get('retry-after');
    if (this.#message.method === 'initialize' && status < 300) this.#transport.adoptSession(headers.get('mcp-session-id'));
    const contentType = (headers.get('content-type') ?? '').toLowerCase();
    this.#body = bodyKind(status, contentType, this.#message.kind);
    if (this.#body === 'events') this.#decoder ??= this.#newDecoder();
    if (this.#body !== 'error') this.#delivery.accepted();
  }

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#body === 'events') this.#pushEvents(chunk);
    else if (this.#body !== 'none') this.#collect(chunk);
  }

  onEnd(): void {
    this.#lingerTimer?.cancel();
    if (this.#isOver) return;
    if (this.#body === 'events') this.#resumeOrFail(new UpstreamFailedError('the upstream ended the stream without an answer', 'unknown'));
    else if (this.#body === 'json') this.#deliverJson();
    else if (this.#body === 'error') this.#deliverError();
    else if (this.#message.kind === 'request') this.#fail(this.#noAnswer());
  }

  onError(error: HttpClientError): void {
    this.#lingerTimer?.cancel();
    if (this.#isOver) return;
    const failure = failureOf(error);
    if (this.#body === 'events') this.#resumeOrFail(failure);
    else this.#fail(failure);
  }

  #newDecoder(): SseDecoder {
    return new SseDecoder(
      {
        onEvent: (event) => {
          this.#noteEventId(event.lastEventId);
          if (event.event === 'message') this.#deliverData(event.data);
        },
        // A priming event: the server means to take its time, or to let us come back for the answer.
        onEmptyEvent: (lastEventId) => {
          this.#noteEventId(lastEventId);
          this.#delivery.primed();
        },
        onRetry: (ms) => {
          this.#retryMs = Math.min(ms, MAX_RETRY_MS);
        },
      },
      this.#transport.options.maxMessageBytes,
    );
  }

  #noteEventId(id: string | undefined): void {
    this.#lastEventId = id;
    this.#fruitlessResumes = 0;
  }

  #pushEvents(chunk: Buffer): void {
    try {
      this.#decoder?.push(chunk);
    } catch (error) {
      this.#call?.abort();
      this.#fail(new UpstreamFailedError(`the upstream broke the event stream: ${describeError(error)}`, 'unknown'));
    }
  }

  #collect(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const limit = this.#body === 'error' ? MAX_ERROR_BODY_BYTES : this.#transport.options.maxMessageBytes;
    if (this.#bytes <= limit) {
      // The chunk is a view of a buffer that is read into again.
      this.#chunks.push(Buffer.from(chunk));
      return;
    }
    this.#call?.abort();
    if (this.#body === 'error') this.#deliverError();
    else this.#fail(new UpstreamFailedError('the answer of the upstream is too large', 'unknown'));
  }

  #takeBody(): Buffer {
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks = [];
    return body;
  }

  #deliverJson(): void {
    this.#deliverData(this.#takeBody());
    if (!this.#isOver && this.#message.kind === 'request') this.#fail(this.#noAnswer());
  }

  #deliverData(data: Buffer): void {
    let messages: Message | readonly Message[];
    try {
      messages = scanUpstream(data);
    } catch (error) {
      this.#transport.options.logger.warn('upstream_garbage', 'dropped an unreadable message of the upstream', {
        reason: describeError(error),
      });
      return;
    }
    if (Array.isArray(messages)) for (const message of messages as readonly Message[]) this.#deliver(message);
    else this.#deliver(messages as Message);
  }

  #deliver(message: Message): void {
    const isAnswer = message.kind === 'response' && message.id === this.#message.id && this.#message.kind === 'request';
    this.#transport.deliver(message, this.#delivery);
    if (!isAnswer) return;
    this.#isOver = true;
    // A server should end the stream now; one that does not must not hold a socket for ever.
    if (this.#body === 'events') {
      this.#lingerTimer = this.#transport.options.timers.schedule(LINGER_MS, () => this.#call?.abort());
    }
  }

  /** A status that is no success may still carry the JSON-RPC answer to this request. */
  #deliverError(): void {
    const status = this.#status;
    const body = this.#takeBody();
    const answer = this.#readAnswer(body);
    if (answer !== undefined) {
      this.#delivery.accepted();
      this.#deliver(answer);
      return;
    }
    if (this.#transport.hasSession && isSessionGone(status, body)) {
      this.#fail(new UpstreamSessionGoneError());
      this.#transport.sessionGone();
      return;
    }
    const isFirst = this.#message.method === 'initialize';
    if (isFirst && WRONG_TRANSPORT_STATUSES.has(status)) this.#fail(new WrongTransportError('Streamable HTTP', `HTTP ${status}`));
    else this.#fail(new UpstreamRefusedError(status, this.#retryAfter));
  }

  #readAnswer(body: Buffer): Message | undefined {
    try {
      const message = scanUpstream(body);
      if (Array.isArray(message)) return undefined;
      const single = message as Message;
      return single.kind === 'response' && single.id !== undefined && single.id === this.#message.id ? single : undefined;
    } catch {
      // An error page in HTML or no body at all: the status alone speaks.
      return undefined;
    }
  }

  #resumeOrFail(error: UpstreamError): void {
    const canResume = this.#lastEventId !== undefined && this.#fruitlessResumes < MAX_FRUITLESS_RESUMES;
    if (!canResume || this.#message.kind !== 'request') {
      if (this.#message.kind === 'request') this.#fail(error);
      return;
    }
    this.#fruitlessResumes += 1;
    this.#resumeTimer = this.#transport.options.timers.schedule(this.#retryMs, () => this.#resumeStream(error));
  }

  #resumeStream(error: UpstreamError): void {
    if (this.#isOver || this.#transport.isClosed) return;
    this.#decoder = this.#newDecoder();
    this.#call = this.#transport.options.http.request(
      {
        method: 'GET',
        path: this.#transport.path,
        headers: this.#transport.streamHeaders(this.#lastEventId),
        headersTimeoutMs: this.#transport.options.connectTimeoutMs,
        retryStale: true,
      },
      {
        onHeaders: (status) => {
          if (status === 200) return;
          this.#call?.abort();
          this.#fail(error);
        },
        onData: (chunk) => this.onData(chunk),
        onEnd: () => this.onEnd(),
        onError: (failure) => this.onError(failure),
      },
    );
    if (this.#isPaused) this.#call.pause();
  }

  #noAnswer(): UpstreamError {
    return new UpstreamFailedError('the upstream answered without an answer to this request', 'unknown');
  }

  #fail(error: UpstreamError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#delivery.failed(error);
  }
}

function bodyKind(status: number, contentType: string, sent: Message['kind']): BodyKind {
  if (status >= 300 || status < 200) return 'error';
  if (contentType.startsWith('text/event-stream')) return 'events';
  if (contentType.startsWith('application/json') && sent === 'request') return 'json';
  return 'none';
}

/** 404 by the specification; some servers answer an unknown session with 400 and an error that names no request. */
function isSessionGone(status: number, body: Buffer): boolean {
  return status === 404 || (status === 400 && /session/i.test(body.toString('latin1')));
}
