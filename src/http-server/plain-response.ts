/** The answer to a plain request: head and first bytes in one write, and nothing after the last. */
import { STATUS_CODES } from 'node:http';
import type { PlainRequest } from './plain-request.js';
import type { ServedResponse } from './types.js';

/** The connection under an answer. */
export interface ResponseCarrier {
  /** For the `Date` of an answer, as HTTP writes it. */
  readonly httpDate: string;
  readonly isGone: boolean;
  readonly writableNeedDrain: boolean;
  readonly writableLength: number;
  write(data: Buffer | string, encoding?: 'latin1'): boolean;
  /** Does `work` when everything else of this turn of the event loop is done. */
  atTurnEnd(work: () => void): void;
  /** Several pieces in one go. */
  writeAll(pieces: readonly (Buffer | string)[]): boolean;
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
/** More than this does not wait for the end of the turn. */
const MAX_GATHERED_BYTES = 16 * 1024;

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
  /** Of a body without a length: written in this turn, and sent at its end. */
  #gathered: (Buffer | string)[] | undefined;
  #gatheredBytes = 0;
  /** Made once: a stream has many turns. */
  #onTurnEnd: Listener | undefined;
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
    let isLast = false;
    let lines = '';
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      const value = headers[i + 1] as string;
      refuseIllegal(name, value);
      if (name === 'content-length') hasLength = true;
      if (name === 'connection') isLast = value === 'close';
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
    if (this.#head !== '') this.#carrier.write(this.#takeHead(), 'latin1');
  }

  write(chunk: Buffer | string): boolean {
    if (this.#isEnded || this.destroyed) return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (bytes.length === 0) return !this.writableNeedDrain;
    if (this.#isChunked || this.#isLast) return this.#gather(bytes);
    return this.#head === '' ? this.#carrier.write(bytes) : this.#carrier.writeAll([this.#takeHead(), bytes]);
  }

  end(chunk?: Buffer | string, encoding?: 'latin1'): this {
    if (this.#isEnded || this.destroyed) return this;
    if (chunk !== undefined && chunk.length > 0) this.#writeLast(chunk, encoding);
    else this.flushHeaders();
    if (this.#isChunked) this.#gather(undefined);
    this.#isEnded = true;
    this.#flush();
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

  #writeLast(chunk: Buffer | string, encoding: 'latin1' | undefined): void {
    if (this.#isChunked || this.#head === '')
      this.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    // Text that stands for bytes one by one goes out with its head as one text.
    else if (typeof chunk === 'string' && encoding === 'latin1')
      this.#carrier.write(this.#takeHead() + chunk, encoding);
    else this.#carrier.writeAll([this.#takeHead(), typeof chunk === 'string' ? Buffer.from(chunk) : chunk]);
  }

  /** What is said within one turn goes out as one. @param bytes Of one chunk; undefined: that was the last. */
  #gather(bytes: Buffer | undefined): boolean {
    if (this.#gathered === undefined) {
      this.#gathered = [];
      this.#onTurnEnd ??= () => this.#flush();
      this.#carrier.atTurnEnd(this.#onTurnEnd);
    }
    if (this.#head !== '') this.#gathered.push(this.#takeHead());
    if (bytes === undefined) this.#gathered.push(LAST_CHUNK);
    else if (this.#isChunked) this.#gathered.push(`${bytes.length.toString(16)}\r\n`, bytes, '\r\n');
    else this.#gathered.push(bytes);
    this.#gatheredBytes += bytes?.length ?? 0;
    return this.#gatheredBytes > MAX_GATHERED_BYTES ? this.#flush() : !this.writableNeedDrain;
  }

  #flush(): boolean {
    const gathered = this.#gathered;
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    if (gathered === undefined || this.destroyed) return true;
    return this.#carrier.writeAll(gathered);
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
