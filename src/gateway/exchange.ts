/**
 * One request of a client and its one terminal reply: the upstream's answer, or ours when there is none by the deadline.
 * Knows nothing of transports; where it is registered is the bridge's business.
 */
import type { Timer } from '../core/timer-wheel.js';
import type { Era } from '../protocol/classify.js';
import type { Message, ProgressToken, RequestId } from '../protocol/message.js';
import type { ClientStream, Delivery, UpstreamError } from '../protocol/transport.js';
import { UpstreamTimeoutError } from '../upstream/errors.js';
import type { UpstreamCall } from '../upstream/transport.js';
import { failureAnswer } from './answers.js';

export type ExchangeOutcome = 'ok' | 'error' | 'upstream_failed' | 'timeout' | 'cancelled';

/** Who runs the exchange. */
export interface ExchangeOwner {
  /** It has had its terminal reply, or will have none because nobody wants it. */
  settled(exchange: Exchange, outcome: ExchangeOutcome, error: UpstreamError | undefined): void;
  /** The upstream kept silent too long: tell it that nobody waits. */
  timedOut(exchange: Exchange): void;
  /** The client has been asked something for the sake of this call, so silence is not the upstream's. */
  isWaitingForClient(): boolean;
  now(): number;
  schedule(delayMs: number, callback: () => void): Timer;
}

export interface ExchangeTimeouts {
  /** Without a byte and without progress, in milliseconds. */
  readonly idleMs: number;
  /** From start to end, in milliseconds. */
  readonly totalMs: number;
}

/** How long an answer that crosses the client's cancellation is still passed on. */
const CANCEL_GRACE_MS = 5000;

export class Exchange implements Delivery {
  readonly method: string;
  /** As the client sent it. */
  readonly clientId: RequestId;
  /** As the upstream sees it: the client's own, unless that one is in flight already. */
  readonly upstreamId: RequestId;
  readonly progressToken: ProgressToken | undefined;
  readonly stream: ClientStream;
  readonly startedAtMs: number;
  call: UpstreamCall | undefined;
  readonly #owner: ExchangeOwner;
  readonly #timeouts: ExchangeTimeouts;
  readonly #era: Era;
  #lastActivityMs: number;
  #timer: Timer | undefined;
  #isSettled = false;
  #isCancelled = false;

  constructor(
    owner: ExchangeOwner,
    request: Message & { readonly id: RequestId; readonly method: string },
    upstreamId: RequestId,
    stream: ClientStream,
    timeouts: ExchangeTimeouts,
    era: Era = 'legacy',
  ) {
    this.#era = era;
    this.#owner = owner;
    this.method = request.method;
    this.clientId = request.id;
    this.upstreamId = upstreamId;
    this.progressToken = request.progressToken;
    this.stream = stream;
    this.#timeouts = timeouts;
    this.startedAtMs = owner.now();
    this.#lastActivityMs = this.startedAtMs;
    this.#timer = owner.schedule(Math.min(timeouts.idleMs, timeouts.totalMs), this.#onTimer);
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Something came from the upstream for this exchange. */
  touch(): void {
    this.#lastActivityMs = this.#owner.now();
  }

  accepted(): void {
    this.touch();
  }

  primed(): void {
    if (!this.#isSettled) this.stream.expectEvents();
  }

  deferred(retryMs: number): void {
    if (!this.#isSettled) this.stream.defer?.(retryMs);
  }

  failed(error: UpstreamError): void {
    this.failedWith(error, () => this.stream.answer(failureAnswer(this.clientId, this.method, error, this.#era)));
  }

  /** @param say Answers the client in a form of its own. */
  failedWith(error: UpstreamError, say: () => void): void {
    if (this.#isSettled) return;
    this.#settle(error instanceof UpstreamTimeoutError ? 'timeout' : 'upstream_failed', error);
    say();
  }

  /** @param answer Carries the client's own id. */
  answered(answer: Message): void {
    this.answeredWith(answer.isError, () => this.stream.answer(answer));
  }

  /** @param say Answers the client in a form of its own. */
  answeredWith(isError: boolean, say: () => void): void {
    if (this.#isSettled) return;
    this.#settle(isError ? 'error' : 'ok', undefined);
    say();
  }

  /** The client no longer wants the answer; one that is under way may still come. */
  cancelled(): void {
    if (this.#isSettled || this.#isCancelled) return;
    this.#isCancelled = true;
    this.#timer?.cancel();
    this.#timer = this.#owner.schedule(CANCEL_GRACE_MS, () => this.#abandon());
  }

  /** Ends it because its session does. Told in so many words: most clients take a closed stream for silence, and wait. */
  end(error: UpstreamError): void {
    if (this.#isCancelled) {
      this.drop();
      return;
    }
    this.call?.abort();
    this.failed(error);
  }

  /** Ends it without a reply: nobody is there to read one. */
  drop(): void {
    if (this.#isSettled) return;
    this.call?.abort();
    this.#abandon();
  }

  #abandon(): void {
    if (this.#isSettled) return;
    this.#settle('cancelled', undefined);
    this.call?.abort();
    this.stream.abandon();
  }

  #settle(outcome: ExchangeOutcome, error: UpstreamError | undefined): void {
    this.#isSettled = true;
    this.#timer?.cancel();
    this.#owner.settled(this, outcome, error);
  }

  /** Fires at the earliest moment at which either time could be up, and looks whether it is. */
  readonly #onTimer = (): void => {
    const now = this.#owner.now();
    if (this.#owner.isWaitingForClient()) this.#lastActivityMs = now;
    const idleRestMs = this.#lastActivityMs + this.#timeouts.idleMs - now;
    const totalRestMs = this.startedAtMs + this.#timeouts.totalMs - now;
    const restMs = Math.min(idleRestMs, totalRestMs);
    if (restMs > 0) {
      this.#timer = this.#owner.schedule(restMs, this.#onTimer);
      return;
    }
    const limit = totalRestMs <= 0 ? `${this.#timeouts.totalMs} ms` : `${this.#timeouts.idleMs} ms of silence`;
    this.#owner.timedOut(this);
    this.failed(new UpstreamTimeoutError(`the upstream did not answer within ${limit}`, 'unknown'));
  };
}
