import type { HttpClientError } from './errors.js';
import type { HttpCall, HttpRequest, ResponseHandler, ResponseHeaders } from './types.js';

/** What a call needs of the connection it is on. */
export interface Carrier {
  pauseReading(): void;
  resumeReading(): void;
  /** The call is over before its response is: the connection is of no more use. */
  discard(call: Call): void;
}

/**
 * One request and its response as the caller sees it: keeps the promise of exactly one last callback, and keeps what
 * a handler throws away from the parser. Knows nothing of sockets.
 */
export class Call implements HttpCall {
  readonly #handler: ResponseHandler;
  readonly #onHandlerError: (error: unknown) => void;
  /** Forgotten with the response head, so that a long stream does not hold on to the body it answers. */
  request: HttpRequest | undefined;
  carrier: Carrier | undefined;
  bytesSent = false;
  #isPaused = false;
  #isOver = false;

  constructor(request: HttpRequest, handler: ResponseHandler, onHandlerError: (error: unknown) => void) {
    this.request = request;
    this.#handler = handler;
    this.#onHandlerError = onHandlerError;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  pause(): void {
    if (this.#isPaused || this.#isOver) return;
    this.#isPaused = true;
    this.carrier?.pauseReading();
  }

  resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.carrier?.resumeReading();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#finish()?.discard(this);
  }

  deliverHeaders(status: number, headers: ResponseHeaders): void {
    this.request = undefined;
    try {
      this.#handler.onHeaders(status, headers);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  deliverData(chunk: Buffer): void {
    try {
      this.#handler.onData(chunk);
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  end(): void {
    if (this.#isOver) return;
    this.#finish();
    try {
      this.#handler.onEnd();
    } catch (error) {
      this.#handlerThrew(error);
    }
  }

  fail(error: HttpClientError): void {
    if (this.#isOver) return;
    this.#finish();
    try {
      this.#handler.onError(error);
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  #finish(): Carrier | undefined {
    const { carrier } = this;
    this.#isOver = true;
    this.request = undefined;
    this.carrier = undefined;
    return carrier;
  }

  #handlerThrew(error: unknown): void {
    this.abort();
    this.#onHandlerError(error);
  }
}
