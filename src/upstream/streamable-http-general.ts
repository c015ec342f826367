/**
 * The GET stream of a Streamable HTTP upstream: what the server says unasked. Reconnects for as long as the session lives, behind the last
 * event that was heard. Some servers say again what was missed and nothing ever after, so that such a stream has another one beside it;
 * a server that speaks on the first refuses the second.
 */
import { describeError } from '../core/errors.js';
import type { Timer } from '../core/timer-wheel.js';
import { EventBody } from './answer-body.js';
import type { HttpCall } from '../http-client/types.js';
import type { StreamableSession } from './streamable-http-session.js';

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export class GeneralStream {
  readonly #session: StreamableSession;
  /** One, or two: the one that goes on behind what was heard, and the one beside it. */
  readonly #calls = new Set<HttpCall>();
  #lastEventId: string | undefined;
  /** The server has refused to go on behind an event. */
  #mayResume = true;
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
    for (const call of this.#calls) call.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (const call of this.#calls) call.resume();
  }

  close(): void {
    this.#isClosed = true;
    this.#retryTimer?.cancel();
    for (const call of this.#calls) call.abort();
  }

  #connect(answered: () => void): void {
    const lastEventId = this.#mayResume ? this.#lastEventId : undefined;
    this.#openStream(lastEventId, answered, (status) => {
      if (status === 200) {
        if (lastEventId === undefined) answered();
        else this.#openBeside(answered);
      } else if (lastEventId !== undefined && isRefusal(status)) {
        // It does not know the event any more: what is said from now on is better than nothing.
        this.#mayResume = false;
        this.#connect(answered);
      } else {
        answered();
        this.#onRefused(status);
      }
    });
  }

  #openBeside(answered: () => void): void {
    this.#openStream(undefined, answered, answered);
  }

  /** @param onStatus Is told before anything is read; with another status than 200 nothing is. @param failed There is no answer. */
  #openStream(lastEventId: string | undefined, failed: () => void, onStatus: (status: number) => void): void {
    const events = this.#newEventBody();
    const over = (): void => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#retry();
    };
    const call: HttpCall = this.#session.openStream(lastEventId, {
      onHeaders: (status) => {
        if (status !== 200) {
          this.#calls.delete(call);
          call.abort();
        }
        if (!this.#isClosed) onStatus(status);
      },
      onData: (chunk) => this.#push(events, chunk, call, over),
      onEnd: over,
      onError: () => {
        failed();
        over();
      },
    });
    this.#calls.add(call);
    if (this.#isPaused) call.pause();
  }

  #newEventBody(): EventBody {
    return new EventBody(
      {
        onMessage: (message) => {
          this.#session.deliver(message, undefined);
          this.#session.heard(this.#lastEventId);
        },
        onEventId: (id) => {
          this.#lastEventId = id;
          // Only a stream that brings something is worth asking for again at once: some servers end it right after the head.
          this.#backoffMs = FIRST_RETRY_MS;
        },
        onPriming: () => this.#session.heard(this.#lastEventId),
        onRetry: (ms) => {
          this.#serverRetryMs = Math.min(ms, MAX_RETRY_MS);
        },
      },
      this.#session.logger,
      this.#session.maxMessageBytes,
    );
  }

  #push(events: EventBody, chunk: Buffer, call: HttpCall, over: () => void): void {
    try {
      events.push(chunk);
    } catch (error) {
      call.abort();
      this.#session.logger.warn('upstream_garbage', 'the general stream of the upstream cannot be read', {
        reason: describeError(error),
      });
      over();
    }
  }

  #onRefused(status: number): void {
    if (status === 404 && this.#session.hasId) this.#session.gone();
    // Conflict: the server has such a stream open still, for the connection before this one.
    else if (!isRefusal(status)) this.#retry();
    // Any other refusal means that the server has no such stream.
  }

  #retry(): void {
    if (this.#isClosed || this.#session.isClosed) return;
    const delayMs = this.#serverRetryMs ?? this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, MAX_RETRY_MS);
    this.#retryTimer = this.#session.timers.schedule(delayMs, () => this.#connect(() => {}));
  }
}

/** Asked again as before, it would say the same. */
function isRefusal(status: number): boolean {
  return status < 500 && status !== 429 && status !== 409 && status !== 404;
}
