import { ChunkSizeScanner } from './chunk-size-scanner.js';
import { FramingError } from './errors.js';
import { type Fields, FieldScanner } from './field-scanner.js';
import { bodyFraming, isPersistent, keepAliveHintMs } from './framing.js';
import { CR, LF } from '../core/octets.js';

/** What `next()` found. `need-more`: all bytes were taken. */
export type ParserEvent = 'need-more' | 'head' | 'data' | 'end';

type State =
  | 'head'
  | 'length'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-cr'
  | 'chunk-lf'
  | 'trailers'
  | 'done';

const MAX_INTERIM_RESPONSES = 64;

/**
 * Takes HTTP/1.1 responses apart, one event per call, so that the caller may stop between any two events.
 * Interim (1xx) responses are skipped. Never reads past the end of a response.
 */
export class ResponseParser {
  readonly #fields: FieldScanner;
  readonly #chunkSize = new ChunkSizeScanner();
  #state: State = 'head';
  #remaining = 0;
  #interimResponses = 0;
  #hasStarted = false;
  #head: Fields | undefined;
  #data: Buffer | undefined;
  #offset = 0;
  #isPersistent = false;
  #keepAliveHintMs: number | undefined;

  constructor(maxHeaderBytes: number) {
    this.#fields = new FieldScanner(maxHeaderBytes);
  }

  /** Where the next call has to go on. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether a byte of the current response was seen. */
  get hasStarted(): boolean {
    return this.#hasStarted;
  }

  /** After `end`: whether the connection may carry another request. */
  get isPersistent(): boolean {
    return this.#isPersistent;
  }

  /** How long the server said it keeps an idle connection. */
  get keepAliveHintMs(): number | undefined {
    return this.#keepAliveHintMs;
  }

  /** Makes ready for the next response. */
  start(): void {
    this.#state = 'head';
    this.#interimResponses = 0;
    this.#hasStarted = false;
    this.#isPersistent = false;
    this.#fields.startHead();
  }

  /** After `head`; forgotten afterwards. */
  takeHead(): Fields {
    const head = this.#head as Fields;
    this.#head = undefined;
    return head;
  }

  /** After `data`: a view of the bytes given; forgotten afterwards. */
  takeData(): Buffer {
    const data = this.#data as Buffer;
    this.#data = undefined;
    return data;
  }

  /** Whether the end of the connection is a proper end of this response. */
  get endsWithConnection(): boolean {
    return this.#state === 'until-close';
  }

  /**
   * Reads on, in `bytes` from `from` to `to`.
   *
   * @throws {FramingError} the response is malformed; the parser is then of no more use
   */
  next(bytes: Buffer, from: number, to: number): ParserEvent {
    this.#offset = from;
    if (from < to) this.#hasStarted = true;
    for (;;) {
      const event = this.#step(bytes, to);
      if (event !== undefined) return event;
    }
  }

  /** @returns the event, or undefined when the state changed and there may be more to read */
  #step(bytes: Buffer, to: number): ParserEvent | undefined {
    if (this.#state === 'done') return 'end';
    if (this.#state === 'length' && this.#remaining === 0) return this.#finish();
    if (this.#offset === to) return 'need-more';
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, to);
      case 'until-close':
        this.#view(bytes, to);
        return 'data';
      case 'length':
        this.#readBody(bytes, to);
        return 'data';
      case 'chunk-size':
        return this.#readChunkSize(bytes, to);
      case 'chunk-data':
        this.#readBody(bytes, to);
        if (this.#remaining === 0) this.#state = 'chunk-cr';
        return 'data';
      case 'chunk-cr':
        this.#expect(bytes, CR);
        this.#state = 'chunk-lf';
        return undefined;
      case 'chunk-lf':
        this.#expect(bytes, LF);
        this.#chunkSize.start();
        this.#state = 'chunk-size';
        return undefined;
      case 'trailers':
        if (this.#advance(this.#fields.scan(bytes, this.#offset, to), to)) return this.#finish();
        return 'need-more';
    }
  }

  #readHead(bytes: Buffer, to: number): ParserEvent | undefined {
    if (!this.#advance(this.#fields.scan(bytes, this.#offset, to), to)) return 'need-more';
    const head = this.#fields.take();
    const { status } = head;
    if (status < 200) {
      this.#skipInterim(status);
      return undefined;
    }
    this.#startBody(head);
    this.#head = head;
    return 'head';
  }

  #skipInterim(status: number): void {
    if (status === 101) throw new FramingError('switches protocols unasked');
    this.#interimResponses += 1;
    if (this.#interimResponses > MAX_INTERIM_RESPONSES) throw new FramingError('endless interim responses');
    this.#fields.startHead();
  }

  #startBody(head: Fields): void {
    const framing = bodyFraming(head);
    this.#isPersistent = framing.kind !== 'close' && isPersistent(head);
    this.#keepAliveHintMs = keepAliveHintMs(head);
    this.#remaining = framing.kind === 'length' ? framing.bytes : 0;
    if (framing.kind === 'chunked') {
      this.#chunkSize.start();
      this.#state = 'chunk-size';
    } else this.#state = framing.kind === 'close' ? 'until-close' : 'length';
  }

  #readChunkSize(bytes: Buffer, to: number): ParserEvent | undefined {
    if (!this.#advance(this.#chunkSize.scan(bytes, this.#offset, to), to)) return 'need-more';
    this.#remaining = this.#chunkSize.size;
    if (this.#remaining > 0) {
      this.#state = 'chunk-data';
    } else {
      this.#fields.startTrailers();
      this.#state = 'trailers';
    }
    return undefined;
  }

  #readBody(bytes: Buffer, to: number): void {
    const end = to - this.#offset > this.#remaining ? this.#offset + this.#remaining : to;
    this.#remaining -= end - this.#offset;
    this.#view(bytes, end);
  }

  #view(bytes: Buffer, end: number): void {
    this.#data = bytes.subarray(this.#offset, end);
    this.#offset = end;
  }

  #expect(bytes: Buffer, byte: number): void {
    if (bytes[this.#offset] !== byte) throw new FramingError('chunk without its line end');
    this.#offset += 1;
  }

  /** @param stop What a scanner returned. @returns whether it was done */
  #advance(stop: number, to: number): boolean {
    this.#offset = stop < 0 ? to : stop;
    return stop >= 0;
  }

  #finish(): ParserEvent {
    this.#state = 'done';
    return 'end';
  }
}
