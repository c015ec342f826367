/** What a replica answers that was asked something itself, not for a client: a short text, soon. */
import type { HttpCall } from '../http-client/types.js';
import type { ForwardSink } from './forwarder.js';

const MAX_CHARACTERS = 256 * 1024;

/** One timer over all of it: a connection that is never accepted has a limit of its own, which may be longer. */
export class ShortAnswer implements ForwardSink {
  readonly #resolve: (text: string | undefined) => void;
  readonly #timer: NodeJS.Timeout;
  #call: HttpCall | undefined;
  #text = '';

  /** @param resolve Is told the text, or undefined when there is none. */
  constructor(timeoutMs: number, resolve: (text: string | undefined) => void) {
    this.#resolve = resolve;
    this.#timer = setTimeout(() => this.#finish(undefined), timeoutMs);
  }

  onStart(call: HttpCall): void {
    this.#call = call;
  }

  onHead(status: number): void {
    if (status !== 200) this.#finish(undefined);
  }

  onData(chunk: Buffer): void {
    this.#text += chunk.toString('latin1');
    if (this.#text.length > MAX_CHARACTERS) this.#finish(undefined);
  }

  onEnd(): void {
    this.#finish(this.#text);
  }

  onFailure(): void {
    this.#finish(undefined);
  }

  onNotOwner(): void {
    this.#finish(undefined);
  }

  #finish(text: string | undefined): void {
    clearTimeout(this.#timer);
    this.#resolve(text);
    if (text === undefined) this.#call?.abort();
  }
}
