/** The answer to a plain request: head and first bytes in one write, and nothing after the last. */
import { STATUS_CODES } from 'node:http';
import type { PlainRequest } from './plain-request.js';
import type { ServedResponse } from './types.js';

/** The connection under an answer. */
export interface ResponseCarrier {
  /** For the `Date` of an answer, as HTTP writes it. */
  readonly httpDate: string;
  readonly isGone: boolean;
  /** Nobody new is let in: no answer is followed by another. */
  readonly isClosing: boolean;
  readonly writableNeedDrain: boolean;
  readonly writableLength: number;
  /** @param text In Latin-1. @returns whether more should be written before `drained` */
  writeText(text: string): boolean;
  /** Bytes between two texts in Latin-1, in one go. */
  write(before: string, bytes: Buffer, after?: string): boolean;
  /** Everything of this answer was written. */
  finish(): void;
  cut(): void;
  setWriteTimeout(ms: number): void;
}

type Listener = () => void;

const ILLEGAL_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const LEGAL_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const KEEP_ALIVE = 'Connection: keep-alive\r\nKeep-Alive: timeout=75\r\n';
const CLOSE = 'Connection: close\r\n';
const NO_CONTENT = 204;
const LAST_CHUNK = '0\r\n\r\n';

export class PlainResponse implements ServedResponse {
  readonly req: PlainRequest;
  readonly #carrier: ResponseCarrier;
  useChunkedEncodingByDefault = true;
  headersSent = false;
  /** Rendered, and not written yet: it goes out with the first bytes. */
  #head = '';
  #isChunked = false;
  #isLast = false;
  #isUnbounded = false;
  #isEnded = false;
  #isClosed = false;
  #onClose: Listener[] = [];
  #onDrain: Listener[] = [];

  constructor(request: PlainRequest, carrier: ResponseCarrier) {
    this.req = request;
    this.#carrier = carrier;
  }

  get destroyed(): boolean {
    return this.#isClosed || this.#carrier.isGone;
  }

  /** It ends with its connection. */
  get isLast(): boolean {
    return this.#isLast;
  }

  /** Only the end of its connection is the end of it. */
  get isUnbounded(): boolean {
    return this.#isUnbounded;
  }

  get writableNeedDrain(): boolean {
    return this.#carrier.writableNeedDrain;
  }

  get writableLength(): number {
    return this.#carrier.writableLength;
  }

  writeHead(status: number, headers: readonly string[] = []): this {
    if (this.headersSent) throw new Error('the head of this answer was written already');
    let hasLength = false;
    let isLast = this.#carrier.isClosing;
    let lines = '';
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      const value = headers[i + 1] as string;
      refuseIllegal(name, value);
      if (name === 'content-length') hasLength = true;
      if (name === 'connection') isLast ||= value === 'close';
      else lines += `${name}: ${value}\r\n`;
    }
    // Only now: whoever was refused a header can still give another answer.
    this.headersSent = true;
    this.#isLast = isLast;
    if (!hasLength && status !== NO_CONTENT) this.#delimit();
    const framing = this.#isChunked ? 'Transfer-Encoding: chunked\r\n' : '';
    const connection = this.#isLast ? CLOSE : KEEP_ALIVE;
    this.#head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines}Date: ${this.#carrier.httpDate}\r\n${connection}${framing}\r\n`;
    return this;
  }

  flushHeaders(): void {
    if (this.#head !== '') this.#carrier.writeText(this.#takeHead());
  }

  write(chunk: Buffer | string): boolean {
    if (this.#isEnded || this.destroyed) return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (bytes.length === 0) return !this.writableNeedDrain;
    const head = this.#takeHead();
    if (!this.#isChunked) return this.#carrier.write(head, bytes);
    return this.#carrier.write(`${head}${bytes.length.toString(16)}\r\n`, bytes, '\r\n');
  }

  end(chunk?: Buffer | string, encoding?: 'latin1'): this {
    if (this.#isEnded || this.destroyed) return this;
    if (chunk !== undefined && chunk.length > 0) this.#writeLast(chunk, encoding);
    const rest = this.#takeHead() + (this.#isChunked ? LAST_CHUNK : '');
    if (rest !== '') this.#carrier.writeText(rest);
    this.#isEnded = true;
    this.#carrier.finish();
    return this;
  }

  destroy(): this {
    // The connection may carry the next answer by now.
    if (!this.#isClosed) this.#carrier.cut();
    return this;
  }

  setTimeout(ms: number): this {
    if (!this.#isClosed) this.#carrier.setWriteTimeout(ms);
    return this;
  }

  on(event: 'drain' | 'close', listener: Listener): this {
    (event === 'drain' ? this.#onDrain : this.#onClose).push(listener);
    return this;
  }

  off(event: 'drain' | 'close', listener: Listener): this {
    if (event === 'drain') this.#onDrain = this.#onDrain.filter((known) => known !== listener);
    else this.#onClose = this.#onClose.filter((known) => known !== listener);
    return this;
  }

  /** The client has taken what was written. */
  drained(): void {
    for (const listener of this.#onDrain) listener();
  }

  /** Nothing more comes of it. */
  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const listener of this.#onClose) listener();
  }

  /** Without a length the body ends with a last chunk or, where nobody needs the connection afterwards, with the connection. */
  #delimit(): void {
    if (this.useChunkedEncodingByDefault) {
      this.#isChunked = true;
      return;
    }
    this.#isUnbounded = true;
    this.#isLast = true;
  }

  /** Text that stands for bytes one by one goes out with its head as one text. */
  #writeLast(chunk: Buffer | string, encoding: 'latin1' | undefined): void {
    if (typeof chunk !== 'string' || encoding !== 'latin1') this.write(chunk);
    else if (this.#isChunked) this.write(Buffer.from(chunk, encoding));
    else this.#carrier.writeText(this.#takeHead() + chunk);
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = '';
    return head;
  }
}

/** A value that ends its line early would write the next one. */
function refuseIllegal(name: string, value: string): void {
  if (!LEGAL_NAME.test(name) || ILLEGAL_VALUE.test(value))
    throw new TypeError(`illegal header ${JSON.stringify(name)}`);
}
