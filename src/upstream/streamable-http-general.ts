/** The GET stream of a Streamable HTTP upstream: what the server says unasked. Reconnects for as long as the session lives. */
import { describeError } from '../core/errors.js';
import type { Timer } from '../core/timer-wheel.js';
import { EventBody } from './answer-body.js';
import type { HttpCall } from '../http-client/types.js';
import type { StreamableSession } from './streamable-http-session.js';

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export class GeneralStream {
  readonly #session: StreamableSession;
  #call: HttpCall | undefined;
  #lastEventId: string | undefined;
  #serverRetryMs: number | undefined;
  #backoffMs = FIRST_RETRY_MS;
  #retryTimer: Timer | undefined;
  #isPaused = false;
  #isClosed = false;

  /** @param heardUpTo The event to go on behind. */
  constructor(session: StreamableSession, heardUpTo: string | undefined) {
    this.#session = session;
    this.#lastEventId = heardUpTo;
  }

  /** Resolves when the server has answered, whatever it answered: many offer no such stream (405). */
  open(): Promise<void> {
    return new Promise((resolve) => this.#connect(resolve));
  }

  pause(): void {
    this.#isPaused = true;
    this.#call?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#call?.resume();
  }

  close(): void {
    this.#isClosed = true;
    this.#retryTimer?.cancel();
    this.#call?.abort();
  }

  #connect(answered: () => void): void {
    const events = this.#newEventBody();
    this.#call = this.#session.openStream(this.#lastEventId, {
      onHeaders: (status) => {
        answered();
        if (status !== 200) this.#onRefused(status);
      },
      onData: (chunk) => this.#push(events, chunk),
      onEnd: () => this.#retry(),
      onError: () => {
        answered();
        this.#retry();
      },
    });
    if (this.#isPaused) this.#call.pause();
  }

  #newEventBody(): EventBody {
    return new EventBody(
      {
        onMessage: (message) => {
          this.#session.deliver(message, undefined);
          this.#noteHeard();
        },
        onEventId: (id) => {
          this.#lastEventId = id;
          // Only a stream that brings something is worth asking for again at once: some servers end it right after the head.
          this.#backoffMs = FIRST_RETRY_MS;
        },
        onPriming: () => this.#noteHeard(),
        onRetry: (ms) => {
          this.#serverRetryMs = Math.min(ms, MAX_RETRY_MS);
        },
      },
      this.#session.logger,
      this.#session.maxMessageBytes,
    );
  }

  #noteHeard(): void {
    if (this.#lastEventId !== undefined) this.#session.heard(this.#lastEventId);
  }

  #push(events: EventBody, chunk: Buffer): void {
    try {
      events.push(chunk);
    } catch (error) {
      this.#call?.abort();
      this.#session.logger.warn('upstream_garbage', 'the general stream of the upstream cannot be read', {
        reason: describeError(error),
      });
      this.#retry();
    }
  }

  #onRefused(status: number): void {
    this.#call?.abort();
    if (status === 404 && this.#session.hasId) this.#session.gone();
    // Conflict: the server has such a stream open still, for the connection before this one.
    else if (status >= 500 || status === 429 || status === 409) this.#retry();
    else if (this.#lastEventId !== undefined && status !== 405) {
      // It does not know the event any more: what is said from now on is better than nothing.
      this.#lastEventId = undefined;
      this.#retry();
    }
    // Any other refusal means that the server has no such stream.
  }

  #retry(): void {
    if (this.#isClosed || this.#session.isClosed) return;
    const delayMs = this.#serverRetryMs ?? this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, MAX_RETRY_MS);
    this.#retryTimer = this.#session.timers.schedule(delayMs, () => this.#connect(() => {}));
  }
}
