/** A plain request as those see it who serve it. Its body waits until somebody listens. */
import type { IncomingHttpHeaders } from 'node:http';
import type { PlainHead } from './plain-head.js';
import type { ServedRequest } from './types.js';

/** The connection under a request. */
export interface RequestSource {
  readonly remoteAddress: string | undefined;
  /** What waited was taken. */
  resumeReading(): void;
}

type DataListener = (chunk: Buffer) => void;
type EndListener = () => void;

export class PlainRequest implements ServedRequest {
  readonly method: string;
  readonly url: string;
  headers: IncomingHttpHeaders;
  readonly socket: RequestSource;
  complete = false;
  /** Of the body, in bytes: received, and nobody has asked for it yet. */
  waitingBytes = 0;
  #waiting: Buffer[] | undefined;
  #onData: DataListener | undefined;
  #onEnd: EndListener[] = [];
  #isFlowing = false;
  #isStarting = true;
  #isEnded = false;

  constructor(head: PlainHead, source: RequestSource) {
    this.method = head.method;
    this.url = head.url;
    this.headers = head.headers;
    this.socket = source;
  }

  on(event: 'data' | 'end', listener: DataListener | EndListener): this {
    if (event === 'end') this.#onEnd.push(listener as EndListener);
    else {
      this.#onData = listener;
      this.resume();
    }
    return this;
  }

  removeAllListeners(event: 'data' | 'end'): this {
    if (event === 'end') this.#onEnd = [];
    else this.#onData = undefined;
    return this;
  }

  resume(): this {
    if (this.#isFlowing) return this;
    this.#isFlowing = true;
    // Not from inside the call of somebody who may have more listeners to add.
    if (!this.#isStarting) process.nextTick(() => this.#flow());
    return this;
  }

  /** Takes more of the body. */
  push(chunk: Buffer, isLast: boolean): void {
    this.complete = isLast;
    if (chunk.length > 0) {
      this.waitingBytes += chunk.length;
      if (this.#waiting === undefined) this.#waiting = [chunk];
      else this.#waiting.push(chunk);
    }
    if (!this.#isStarting) this.#flow();
  }

  /** Whoever serves it has been told of it: what came with the head can be handed out. */
  start(): void {
    this.#isStarting = false;
    this.#flow();
  }

  #flow(): void {
    if (!this.#isFlowing || this.#isEnded) return;
    const chunks = this.#waiting;
    this.#waiting = undefined;
    this.waitingBytes = 0;
    if (chunks !== undefined) for (const chunk of chunks) this.#onData?.(chunk);
    if (!this.complete) {
      this.socket.resumeReading();
      return;
    }
    this.#isEnded = true;
    for (const listener of this.#onEnd) listener();
  }
}
