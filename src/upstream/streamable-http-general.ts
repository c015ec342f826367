/** The GET stream of a Streamable HTTP upstream: what the server says unasked. Reconnects for as long as the session lives. */
import { describeError } from '../core/errors.js';
import type { Timer } from '../core/timer-wheel.js';
import type { Message } from '../protocol/message.js';
import { scanUpstream } from '../protocol/scan.js';
import { SseDecoder } from '../protocol/sse-decoder.js';
import type { HttpCall } from './http/types.js';
import type { StreamableHttpTransport } from './streamable-http-transport.js';

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export class GeneralStream {
  readonly #transport: StreamableHttpTransport;
  #call: HttpCall | undefined;
  #lastEventId: string | undefined;
  #serverRetryMs: number | undefined;
  #backoffMs = FIRST_RETRY_MS;
  #retryTimer: Timer | undefined;
  #isPaused = false;
  #isClosed = false;

  constructor(transport: StreamableHttpTransport) {
    this.#transport = transport;
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
    const { http, connectTimeoutMs } = this.#transport.options;
    const decoder = this.#newDecoder();
    this.#call = http.request(
      {
        method: 'GET',
        path: this.#transport.path,
        headers: this.#transport.streamHeaders(this.#lastEventId),
        headersTimeoutMs: connectTimeoutMs,
        retryStale: true,
      },
      {
        onHeaders: (status) => {
          answered();
          if (status !== 200) this.#onRefused(status);
        },
        onData: (chunk) => this.#push(decoder, chunk),
        onEnd: () => this.#retry(),
        onError: () => {
          answered();
          this.#retry();
        },
      },
    );
    if (this.#isPaused) this.#call.pause();
  }

  #newDecoder(): SseDecoder {
    return new SseDecoder(
      {
        onEvent: (event) => {
          // Only a stream that brings something is worth asking for again at once: some servers end it right after the head.
          this.#backoffMs = FIRST_RETRY_MS;
          this.#lastEventId = event.lastEventId;
          if (event.event === 'message') this.#deliver(event.data);
        },
        onEmptyEvent: (lastEventId) => {
          this.#lastEventId = lastEventId;
        },
        onRetry: (ms) => {
          this.#serverRetryMs = Math.min(ms, MAX_RETRY_MS);
        },
      },
      this.#transport.options.maxMessageBytes,
    );
  }

  #push(decoder: SseDecoder, chunk: Buffer): void {
    try {
      decoder.push(chunk);
    } catch (error) {
      this.#call?.abort();
      this.#warn(error);
      this.#retry();
    }
  }

  #deliver(data: Buffer): void {
    try {
      const messages = scanUpstream(data);
      if (Array.isArray(messages)) for (const message of messages as readonly Message[]) this.#transport.deliver(message, undefined);
      else this.#transport.deliver(messages as Message, undefined);
    } catch (error) {
      this.#warn(error);
    }
  }

  #onRefused(status: number): void {
    this.#call?.abort();
    if (status === 404 && this.#transport.hasSession) this.#transport.sessionGone();
    else if (status >= 500 || status === 429) this.#retry();
    // Any other refusal means that the server has no such stream.
  }

  #retry(): void {
    if (this.#isClosed || this.#transport.isClosed) return;
    const delayMs = this.#serverRetryMs ?? this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, MAX_RETRY_MS);
    this.#retryTimer = this.#transport.options.timers.schedule(delayMs, () => this.#connect(() => {}));
  }

  #warn(error: unknown): void {
    this.#transport.options.logger.warn('upstream_garbage', 'dropped what cannot be read on the general stream', {
      reason: describeError(error),
    });
  }
}
