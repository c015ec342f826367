/**
 * One request to an upstream of the stateless revision: a POST, and its answer as JSON or as an event stream that nobody can resume.
 * Closing it is how it is cancelled.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
 */
import type { Message } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { Delivery, UpstreamError } from '../protocol/transport.js';
import { type BodyKind, bodyKind, CollectedBody, EventBody, readErrorAnswer, readMessages } from './answer-body.js';
import { UpstreamFailedError, UpstreamRefusedError } from './errors.js';
import type { HttpClientError } from '../http-client/errors.js';
import type { HttpCall, ResponseHandler, ResponseHeaders } from '../http-client/types.js';
import { failureOf } from './http-failure.js';
import type { UpstreamCall } from './transport.js';
import type { Upstream } from './upstream.js';

const AUTHORIZATION_STATUSES: ReadonlySet<number> = new Set([401, 403, 407]);

/** Who waits for the answer, and wants to know with which status it came. */
export interface StatelessDelivery extends Delivery {
  /** @param status The upstream's HTTP status, which is part of the answer in this revision. */
  onMessage(message: Message, status: number): void;
}

export class StatelessCall implements UpstreamCall, ResponseHandler {
  readonly #upstream: Upstream;
  readonly #message: Message;
  readonly #delivery: StatelessDelivery;
  #call: HttpCall | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #kind: BodyKind = 'none';
  #collected: CollectedBody | undefined;
  #events: EventBody | undefined;
  #isOver = false;

  constructor(upstream: Upstream, message: Message, delivery: StatelessDelivery) {
    this.#upstream = upstream;
    this.#message = message;
    this.#delivery = delivery;
  }

  /** @param headers Rendered lines that go with this message: content type, accept, and those that mirror the body. */
  start(headers: string): void {
    this.#call = this.#upstream.http.request(
      {
        method: 'POST',
        path: this.#upstream.path,
        headers: this.#upstream.headers + headers,
        body: this.#message.raw,
        headersTimeoutMs: 0,
        retryStale: this.#message.method !== Method.toolsCall,
      },
      this,
    );
  }

  pause(): void {
    this.#call?.pause();
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    this.#isOver = true;
    this.#call?.abort();
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    if (status >= 400) this.#retryAfter = headers.get('retry-after');
    this.#kind = bodyKind(status, headers.get('content-type'), this.#message.kind === 'request');
    const { maxMessageBytes } = this.#upstream.dependencies;
    if (this.#kind === 'json' || this.#kind === 'error')
      this.#collected = new CollectedBody(this.#kind, maxMessageBytes);
    if (this.#kind !== 'error') this.#delivery.accepted();
  }

  onData(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#kind === 'events') this.#pushEvents(chunk);
    else if (this.#collected?.push(chunk) === false) this.#onTooLarge();
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#kind === 'json') readMessages(this.#takeBody(), this.#upstream.dependencies.logger, this.#deliver);
    else if (this.#kind === 'error') this.#deliverError();
    else if (this.#kind === 'none' && this.#message.kind !== 'request') this.#isOver = true;
    if (!this.#isOver)
      this.#fail(new UpstreamFailedError('the upstream ended its answer without answering', 'unknown'));
  }

  onError(error: HttpClientError): void {
    this.#fail(failureOf(error));
  }

  readonly #deliver = (message: Message): void => {
    if (this.#isOver) return;
    if (message.kind === 'response') this.#isOver = true;
    this.#delivery.onMessage(this.#upstream.secrets.redact(message), this.#status);
  };

  #pushEvents(chunk: Buffer): void {
    const { logger, maxMessageBytes } = this.#upstream.dependencies;
    this.#events ??= new EventBody(
      { onMessage: this.#deliver, onEventId: () => {}, onPriming: () => {}, onRetry: () => {} },
      logger,
      maxMessageBytes,
    );
    try {
      this.#events.push(chunk);
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

  #deliverError(): void {
    // Its quarrel is with the gateway's credentials; a client that got this status would take it for its own.
    const isOurs = AUTHORIZATION_STATUSES.has(this.#status);
    const answer = isOurs ? undefined : readErrorAnswer(this.#takeBody(), this.#message.id);
    if (answer === undefined) this.#fail(new UpstreamRefusedError(this.#status, this.#retryAfter));
    else this.#deliver(answer);
  }

  #takeBody(): Buffer {
    return this.#collected?.take() ?? Buffer.alloc(0);
  }

  #fail(error: UpstreamError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#delivery.failed(error);
  }
}
