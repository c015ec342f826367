/**
 * The answer to one POST of the stateless revision: JSON when the answer comes first, else an event stream that ends with it.
 * When the client closes it, that is the cancellation.
 */
import type { Clock } from '../core/clock.js';
import type { Timer, TimerWheel } from '../core/timer-wheel.js';
import type { Message, RequestId } from '../protocol/message.js';
import type { AnswerHints } from '../protocol/transport.js';
import { retryAfter } from './error-response.js';
import { KEEP_ALIVE_MS, WRITE_DEADLINE_MS } from './event-stream.js';
import type { HttpExchange } from './http-exchange.js';
import { refuse } from './http-exchange.js';
import { openReplyStream, sendJson } from './respond.js';
import { encodePlainEvent, KEEP_ALIVE_COMMENT } from './sse-encode.js';
import type { StatelessStream, StatelessStreamOwner } from './client-session.js';

export class StatelessReply implements StatelessStream {
  readonly #exchange: HttpExchange;
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  #owner: StatelessStreamOwner | undefined;
  #isStream = false;
  #isOver = false;
  #isPressed = false;
  #keepAlive: Timer | undefined;
  #writeDeadline: Timer | undefined;
  #credential: Timer | undefined;

  constructor(exchange: HttpExchange, timers: TimerWheel, clock: Clock) {
    this.#exchange = exchange;
    this.#timers = timers;
    this.#clock = clock;
    exchange.response.on('close', () => this.#onClose());
    this.#keepAlive = timers.schedule(KEEP_ALIVE_MS, this.#onKeepAlive);
  }

  setOwner(owner: StatelessStreamOwner): void {
    this.#owner = owner;
  }

  send(message: Message): void {
    if (this.#isOver) return;
    this.#openStream();
    this.#write(encodePlainEvent(message.raw));
  }

  answer(message: Message, hints?: AnswerHints): void {
    if (this.#isOver) return;
    if (this.#isStream) {
      this.#write(encodePlainEvent(message.raw));
      this.#end();
      this.#exchange.response.end();
      return;
    }
    this.#end();
    const headers = [...this.#exchange.headers, ...retryAfter(hints?.retryAfterMs)];
    sendJson(this.#exchange.response, hints?.status ?? 200, message.raw, headers);
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#end();
    this.#exchange.response.destroy();
  }

  expectEvents(): void {
    if (!this.#isOver) this.#openStream();
  }

  refuse(_id: RequestId, error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    refuse(this.#exchange, error);
  }

  /** Somebody else answers. */
  withdraw(): void {
    this.#end();
  }

  #openStream(): void {
    if (this.#isStream) return;
    this.#isStream = true;
    const { response, headers } = this.#exchange;
    openReplyStream(response, headers);
    response.on('drain', () => this.#onDrain());
    this.#watchCredential();
  }

  /** A stream must not outlive the right to it. */
  #watchCredential(): void {
    const { caller, response } = this.#exchange;
    const { expiresAtMs } = caller.principal;
    if (expiresAtMs === undefined) return;
    const restMs = Math.max(0, expiresAtMs - this.#clock.wallTimeMs());
    this.#credential = this.#timers.schedule(restMs, () => response.destroy());
  }

  #write(bytes: Buffer | string): void {
    if (this.#exchange.response.write(bytes) || this.#isPressed) return;
    this.#isPressed = true;
    this.#writeDeadline = this.#timers.schedule(WRITE_DEADLINE_MS, () => this.#exchange.response.destroy());
    this.#owner?.pressed(true);
  }

  #onDrain(): void {
    this.#writeDeadline?.cancel();
    if (!this.#isPressed) return;
    this.#isPressed = false;
    this.#owner?.pressed(false);
  }

  readonly #onKeepAlive = (): void => {
    this.#openStream();
    if (!this.#isPressed) this.#write(KEEP_ALIVE_COMMENT);
    this.#keepAlive = this.#timers.schedule(KEEP_ALIVE_MS, this.#onKeepAlive);
  };

  #onClose(): void {
    this.#writeDeadline?.cancel();
    if (this.#isOver) return;
    this.#end();
    this.#owner?.gone();
  }

  #end(): void {
    this.#isOver = true;
    this.#keepAlive?.cancel();
    this.#credential?.cancel();
  }
}
