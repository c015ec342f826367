/**
 * One request of a client and its one terminal reply: the upstream's answer, or ours when there is none by the deadline.
 * Knows nothing of transports; where it is registered is its owner's business.
 */
import type { Timer } from '../core/timer-wheel.js';
import type { Message, ProgressToken, RequestId } from '../protocol/message.js';
import type { ClientStream, Delivery, UpstreamError } from '../protocol/transport.js';
import { UpstreamTimeoutError } from '../upstream/errors.js';
import type { UpstreamCall } from '../upstream/transport.js';
import { failureAnswer } from './answers.js';
import type { Grant } from './policies/grant.js';

export type ExchangeOutcome = 'ok' | 'error' | 'upstream_failed' | 'timeout' | 'cancelled';

/** Who runs the exchange. */
export interface ExchangeOwner {
  /** It has had its terminal reply, or will have none because nobody wants it. */
  settled(exchange: Exchange, outcome: ExchangeOutcome, error: UpstreamError | undefined): void;
  /**
   * Its last word was handed to the client: the end of all there is to measure.
   *
   * @param durationMs From the request read to here.
   * @param overheadMs The part of it that was not spent waiting for the upstream.
   */
  closed(exchange: Exchange, outcome: ExchangeOutcome, durationMs: number, overheadMs: number): void;
  /** The upstream kept silent too long: tell it that nobody waits. */
  timedOut(exchange: Exchange): void;
  /** The client has been asked something for the sake of this call, so silence is not the upstream's. */
  isWaitingForClient(): boolean;
  now(): number;
  schedule(delayMs: number, callback: () => void): Timer;
}

/** How long a request has been here. */
export interface Timing {
  /** When it was complete, on the clock of durations, in milliseconds. */
  readonly arrivedAtMs: number;
  /** What the upstream took before the request could even be sent, in milliseconds. */
  readonly waitedMs: number;
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
  /** With what it was let through. */
  readonly grant: Grant;
  readonly #owner: ExchangeOwner;
  readonly #timeouts: ExchangeTimeouts;
  readonly #timing: Timing;
  #sentAtMs: number | undefined;
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
    grant: Grant,
    timing: Timing,
  ) {
    this.grant = grant;
    this.#timing = timing;
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
  touch(nowMs: number = this.#owner.now()): void {
    this.#lastActivityMs = nowMs;
  }

  /** The request is in the hands of the upstream's connection: what follows is waiting. */
  sent(): void {
    this.#sentAtMs = this.#owner.now();
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
    this.failedWith(error, () =>
      this.stream.answer(failureAnswer(this.clientId, this.method, error, this.grant.context.era)),
    );
  }

  /** @param say Answers the client in a form of its own. */
  failedWith(error: UpstreamError, say: () => void): void {
    if (this.#isSettled) return;
    const failedAtMs = this.#owner.now();
    const outcome = error instanceof UpstreamTimeoutError ? 'timeout' : 'upstream_failed';
    this.#settle(outcome, error);
    say();
    this.#close(outcome, failedAtMs);
  }

  /**
   * @param answer Carries the client's own id.
   * @param readAtMs When it was read.
   */
  answered(answer: Message, readAtMs: number): void {
    this.answeredWith(answer.isError, readAtMs, () => this.stream.answer(answer));
  }

  /**
   * @param readAtMs When the answer was read.
   * @param say Answers the client in a form of its own.
   */
  answeredWith(isError: boolean, readAtMs: number, say: () => void): void {
    if (this.#isSettled) return;
    const outcome = isError ? 'error' : 'ok';
    this.#settle(outcome, undefined);
    say();
    this.#close(outcome, readAtMs);
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
    const abandonedAtMs = this.#owner.now();
    this.#settle('cancelled', undefined);
    this.call?.abort();
    this.stream.abandon();
    this.#close('cancelled', abandonedAtMs);
  }

  #settle(outcome: ExchangeOutcome, error: UpstreamError | undefined): void {
    this.#isSettled = true;
    this.#timer?.cancel();
    this.#owner.settled(this, outcome, error);
  }

  /** @param readAtMs When that happened which the last word follows from: up to there the upstream was waited for. */
  #close(outcome: ExchangeOutcome, readAtMs: number): void {
    const { arrivedAtMs, waitedMs } = this.#timing;
    const closedAtMs = this.#owner.now();
    const wayUpMs = (this.#sentAtMs ?? readAtMs) - arrivedAtMs - waitedMs;
    this.#owner.closed(this, outcome, closedAtMs - arrivedAtMs, wayUpMs + closedAtMs - readAtMs);
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
