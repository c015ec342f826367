/** One POST to a Streamable HTTP upstream: the message out; the answer as JSON or as an event stream, resumed when it breaks. */
import type { Timer } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { Delivery, UpstreamError } from '../protocol/transport.js';
import { type BodyKind, bodyKind, CollectedBody, EventBody, readErrorAnswer, readMessages } from './answer-body.js';
import { UpstreamFailedError, UpstreamRefusedError, UpstreamSessionGoneError, WrongTransportError } from './errors.js';
import type { HttpClientError } from '../http-client/errors.js';
import type { HttpCall, ResponseHandler, ResponseHeaders } from '../http-client/types.js';
import { failureOf } from './http-failure.js';
import type { StreamableSession } from './streamable-http-session.js';
import type { UpstreamCall } from './transport.js';

/** How often a stream that ended early is asked for again without having brought anything new. */
const MAX_FRUITLESS_RESUMES = 5;
const DEFAULT_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** How long a stream may stay open after its answer before its connection is closed. */
const LINGER_MS = 5000;
const WRONG_TRANSPORT_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 406, 415]);

export class PostCall implements UpstreamCall, ResponseHandler {
  readonly #session: StreamableSession;
  readonly #message: Message;
  readonly #delivery: Delivery;
  #call: HttpCall | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #kind: BodyKind = 'none';
  #collected: CollectedBody | undefined;
  #events: EventBody | undefined;
  #lastEventId: string | undefined;
  #retryMs = DEFAULT_RETRY_MS;
  #fruitlessResumes = 0;
  #resumeTimer: Timer | undefined;
  #lingerTimer: Timer | undefined;
  #isPaused = false;
  #isOver = false;

  constructor(session: StreamableSession, message: Message, delivery: Delivery) {
    this.#session = session;
    this.#message = message;
    this.#delivery = delivery;
  }

  start(headers: string): void {
    this.#call = this.#session.http.request(
      {
        method: 'POST',
        path: this.#session.path,
        headers,
        body: this.#message.raw,
        // The exchange that waits for an answer has its own deadline, and aborts; nobody does so for the rest.
        ...(this.#message.kind === 'request' ? { headersTimeoutMs: 0 } : {}),
        retryStale: this.#message.method !== Method.toolsCall,
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
    if (status < 300 && this.#message.method === Method.initialize) this.#session.adopt(headers.get('mcp-session-id'));
    this.#kind = bodyKind(status, headers.get('content-type'), this.#isAnswerDue);
    if (this.#kind === 'events') this.#events = this.#newEventBody();
    else if (this.#kind !== 'none') this.#collected = new CollectedBody(this.#kind, this.#session.maxMessageBytes);
    if (this.#kind !== 'error') this.#delivery.accepted();
  }

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#kind === 'events') this.#pushEvents(chunk);
    else if (this.#collected?.push(chunk) === false) this.#onTooLarge();
  }

  onEnd(): void {
    this.#lingerTimer?.cancel();
    if (this.#isOver) return;
    if (this.#kind === 'events') this.#onEndOfStream(leftUnanswered());
    else if (this.#kind === 'error') this.#deliverError();
    else {
      if (this.#kind === 'json') readMessages(this.#takeBody(), this.#session.logger, this.#deliver);
      if (this.#isAnswerDue && !this.#isOver) this.#fail(leftUnanswered());
    }
  }

  onError(error: HttpClientError): void {
    this.#lingerTimer?.cancel();
    if (this.#isOver) return;
    if (this.#kind === 'events') this.#resumeOrFail(failureOf(error));
    else this.#fail(failureOf(error));
  }

  get #isAnswerDue(): boolean {
    return this.#message.kind === 'request';
  }

  #newEventBody(): EventBody {
    return new EventBody(
      {
        onMessage: this.#deliver,
        onEventId: (id) => {
          this.#lastEventId = id;
          this.#fruitlessResumes = 0;
        },
        // The server means to take its time, or to let us come back for the answer.
        onPriming: () => this.#delivery.primed(),
        onRetry: (ms) => {
          this.#retryMs = Math.min(ms, MAX_RETRY_MS);
        },
      },
      this.#session.logger,
      this.#session.maxMessageBytes,
    );
  }

  #pushEvents(chunk: Buffer): void {
    try {
      this.#events?.push(chunk);
    } catch (error) {
      this.#call?.abort();
      this.#fail(error as UpstreamError);
    }
  }

  #onTooLarge(): void {
    this.#call?.abort();
    if (this.#kind === 'error') this.#deliverError();
    else this.#fail(new UpstreamFailedError('the answer of the upstream is too large', 'unknown'));
  }

  #takeBody(): Buffer {
    return this.#collected?.take() ?? Buffer.alloc(0);
  }

  readonly #deliver = (message: Message): void => {
    if (this.#isOver) return;
    const isAnswer = this.#isAnswerDue && message.kind === 'response' && message.id === this.#message.id;
    this.#session.deliver(message, this.#delivery);
    if (!isAnswer) return;
    this.#isOver = true;
    // A server should end the stream now; one that does not must not hold a socket for ever.
    if (this.#kind === 'events') {
      this.#lingerTimer = this.#session.timers.schedule(LINGER_MS, () => this.#call?.abort());
    }
  };

  /** A status that is no success may still carry the JSON-RPC answer to this request. */
  #deliverError(): void {
    const status = this.#status;
    const body = this.#takeBody();
    const answer = this.#isAnswerDue ? readErrorAnswer(body, this.#message.id) : undefined;
    if (answer !== undefined) {
      this.#delivery.accepted();
      this.#deliver(answer);
    } else if (this.#session.hasId && isSessionGone(status, body)) {
      this.#fail(new UpstreamSessionGoneError());
      this.#session.gone();
    } else if (this.#message.method === Method.initialize && WRONG_TRANSPORT_STATUSES.has(status)) {
      this.#fail(new WrongTransportError('Streamable HTTP', `HTTP ${status}`));
    } else this.#fail(new UpstreamRefusedError(status, this.#retryAfter));
  }

  #onEndOfStream(unanswered: UpstreamError): void {
    this.#resumeOrFail(unanswered);
    if (this.#isAnswerDue && !this.#isOver) this.#delivery.deferred?.(this.#retryMs);
  }

  #resumeOrFail(error: UpstreamError): void {
    if (!this.#isAnswerDue) return;
    if (this.#lastEventId === undefined || this.#fruitlessResumes >= MAX_FRUITLESS_RESUMES) {
      this.#fail(error);
      return;
    }
    this.#fruitlessResumes += 1;
    this.#resumeTimer = this.#session.timers.schedule(this.#retryMs, () => this.#resumeStream(error));
  }

  #resumeStream(error: UpstreamError): void {
    if (this.#isOver || this.#session.isClosed) return;
    this.#events = this.#newEventBody();
    this.#call = this.#session.openStream(this.#lastEventId, {
      onHeaders: (status) => {
        if (status === 200) return;
        this.#call?.abort();
        this.#fail(error);
      },
      onData: (chunk) => this.onData(chunk),
      onEnd: () => this.onEnd(),
      onError: (failure) => this.onError(failure),
    });
    if (this.#isPaused) this.#call.pause();
  }

  #fail(error: UpstreamError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#delivery.failed(error);
  }
}

/** Made only when it is needed: an error is dear, and most calls end well. */
function leftUnanswered(): UpstreamError {
  return new UpstreamFailedError('the upstream ended its answer without answering', 'unknown');
}

/** 404 by the specification; some servers answer an unknown session with 400 and an error that names no request. */
function isSessionGone(status: number, body: Buffer): boolean {
  return status === 404 || (status === 400 && /session/i.test(body.toString('latin1')));
}
