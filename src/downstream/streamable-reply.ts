/**
 * The answer to one POST of Streamable HTTP. Stays undecided as long as it can: a result that comes first is plain JSON, the cheapest form;
 * anything else that has to be said before it, or a long wait, makes it an event stream.
 */
import type { Timer } from '../core/timer-wheel.js';
import { understandsPrimingEvent } from '../protocol/eras.js';
import { errorResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { AnswerHints, ClientStream } from '../protocol/transport.js';
import type { AskedRequest } from '../protocol/stream-journal.js';
import type { ClientSession } from './client-session.js';
import type { EventStream } from './event-stream.js';
import { retryAfter, toWireError } from './error-response.js';
import { type HttpExchange, refuse } from './http-exchange.js';
import { type HeaderList, openReplyStream, sendJson } from './respond.js';
import { RETRY_MS } from './sse.js';
import { encodeRetry } from './sse-encode.js';

/** A silent connection is cut by many a load balancer; from here on it is a stream that can be kept alive. */
const DECIDE_AFTER_MS = 10_000;

export class StreamableReply implements ClientStream {
  readonly #exchange: HttpExchange;
  readonly #session: ClientSession;
  readonly #headers: HeaderList;
  /** More than one for a batch. */
  readonly #requests: readonly Message[];
  /** Answers still due. */
  #due: number;
  #stream: EventStream | undefined;
  #decideTimer: Timer | undefined;
  #isOver = false;

  /** @param headers Beside those of the exchange, e.g. the session id. */
  constructor(exchange: HttpExchange, session: ClientSession, headers: HeaderList, requests: readonly Message[]) {
    this.#exchange = exchange;
    this.#session = session;
    this.#headers = headers.length === 0 ? exchange.headers : [...exchange.headers, ...headers];
    this.#requests = requests;
    this.#due = requests.length;
    if (requests.length > 1) this.#openStream();
    else this.#decideTimer = session.streams.options.timers.schedule(DECIDE_AFTER_MS, () => this.expectEvents());
  }

  send(message: Message): void {
    if (!this.#isOver) this.#openStream().send(message);
  }

  answer(message: Message, hints?: AnswerHints): void {
    if (this.#isOver) return;
    if (this.#stream !== undefined) {
      this.#stream.send(message);
      this.#settleOne();
      return;
    }
    this.#isOver = true;
    this.#decideTimer?.cancel();
    const { response } = this.#exchange;
    // A session the server refused to open has no id the client could use.
    const headers = message.isError ? this.#exchange.headers : this.#headers;
    if (!response.destroyed) sendJson(response, 200, message.raw, [...headers, ...retryAfter(hints?.retryAfterMs)]);
  }

  /** As an HTTP refusal, as long as nothing was said and this answers one request alone. */
  refuse(id: RequestId, error: unknown): void {
    if (this.#isOver) return;
    if (this.#stream !== undefined) {
      this.answer(errorResponse(id, toWireError(error).rpc));
      return;
    }
    this.#isOver = true;
    this.#decideTimer?.cancel();
    refuse(this.#exchange, error);
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#openStream();
    this.#settleOne();
  }

  expectEvents(): void {
    if (!this.#isOver) this.#openStream();
  }

  /** What the client has seen last is the place to go on from; without an event to name it could not come back. */
  defer(retryMs: number): void {
    const stream = this.#stream;
    if (this.#isOver || stream === undefined || !this.#canResume) return;
    stream.sendNow();
    if (stream.isCaughtUp) stream.disconnect(encodeRetry(retryMs));
  }

  /** Somebody else answers. */
  withdraw(): void {
    this.#isOver = true;
    this.#decideTimer?.cancel();
  }

  #settleOne(): void {
    this.#due -= 1;
    if (this.#due > 0) return;
    this.#isOver = true;
    this.#stream?.finish();
  }

  #openStream(): EventStream {
    if (this.#stream !== undefined) return this.#stream;
    this.#decideTimer?.cancel();
    const { response } = this.#exchange;
    const stream = this.#session.streams.openReply(this.#requests.flatMap(asked));
    this.#stream = stream;
    if (!response.destroyed) {
      openReplyStream(response, this.#headers);
      if (this.#canResume) response.write(encodeRetry(RETRY_MS));
      stream.attach(response);
    }
    if (this.#canResume) stream.prime();
    return stream;
  }

  get #canResume(): boolean {
    const version = this.#session.protocolVersion;
    return version !== undefined && understandsPrimingEvent(version);
  }
}

function asked({ id, method }: Message): AskedRequest[] {
  return id === undefined ? [] : [{ id, isToolCall: method === Method.toolsCall }];
}
