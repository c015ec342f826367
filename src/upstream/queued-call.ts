import type { Message } from '../protocol/message.js';
import type { Delivery, UpstreamError } from '../protocol/transport.js';
import type { UpstreamCall, UpstreamTransport } from './transport.js';

/** A message that waits until its upstream session can carry it; stands in for the real call from then on. */
export class QueuedCall implements UpstreamCall, Delivery {
  readonly message: Message;
  /** Who waits for the outcome. */
  readonly delivery: Delivery;
  readonly #headers: string | undefined;
  #call: UpstreamCall | undefined;
  #isPaused = false;
  #isAborted = false;
  #onSettled: { resolve(): void; reject(error: UpstreamError): void } | undefined;

  constructor(message: Message, delivery: Delivery, headers: string | undefined) {
    this.message = message;
    this.delivery = delivery;
    this.#headers = headers;
  }

  get isAborted(): boolean {
    return this.#isAborted;
  }

  /** Sends it; the outcome goes straight to the one who waits. */
  dispatch(transport: UpstreamTransport | undefined): void {
    if (this.#isAborted || transport === undefined) return;
    this.#call = transport.send(this.message, this, this.#headers);
    if (this.#isPaused) this.#call.pause();
  }

  /** Sends it, and resolves when the upstream has taken it. A failure is told to the caller of this method alone. */
  sendOver(transport: UpstreamTransport): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onSettled = { resolve, reject };
      this.dispatch(transport);
      if (this.#isAborted) resolve();
    });
  }

  accepted(): void {
    const settled = this.#onSettled;
    this.#onSettled = undefined;
    settled?.resolve();
    this.delivery.accepted();
  }

  primed(): void {
    this.delivery.primed();
  }

  deferred(retryMs: number): void {
    this.delivery.deferred?.(retryMs);
  }

  failed(error: UpstreamError): void {
    if (this.#isAborted) return;
    const settled = this.#onSettled;
    this.#onSettled = undefined;
    if (settled !== undefined) settled.reject(error);
    else this.delivery.failed(error);
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
    this.#isAborted = true;
    this.#onSettled?.resolve();
    this.#call?.abort();
  }
}
