/**
 * Decodes an event stream from bytes as they arrive, by the WHATWG rules, in time linear in the bytes.
 * Reconnecting, and what the events mean, is the caller's business.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
import { ByteBuilder } from '../core/byte-builder.js';
import { GatewayError } from '../core/errors.js';
import { isSame } from './json-text.js';

export interface SseEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  /** At least one byte; may be a view into a chunk that was pushed, so copy what is kept for long. Not checked for UTF-8. */
  readonly data: Buffer;
  /** The id to resume after this event: its own, or that of an earlier event; undefined when none was set, or it was reset. */
  readonly lastEventId: string | undefined;
}

export interface SseHandlers {
  onEvent(event: SseEvent): void;
  /** An event with empty data, or with nothing but an id: says where to resume, and means nothing else. */
  onEmptyEvent?(lastEventId: string | undefined): void;
  /** How long the server wants a client to wait before it reconnects, in milliseconds. */
  onRetry?(ms: number): void;
  onComment?(): void;
}

/** One event, or one line, is longer than the reader is willing to keep. */
export class SseEventTooLargeError extends GatewayError {
  override readonly code = 'SSE_EVENT_TOO_LARGE';
  readonly maxEventBytes: number;

  constructor(maxEventBytes: number) {
    super(`an event of the stream is larger than ${maxEventBytes} bytes`);
    this.maxEventBytes = maxEventBytes;
  }
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const NO_DATA: Buffer = Buffer.alloc(0);
const FIELD = {
  data: Buffer.from('data'),
  event: Buffer.from('event'),
  id: Buffer.from('id'),
  retry: Buffer.from('retry'),
};
const KNOWN_EVENTS = ['message', 'endpoint'].map((name) => ({ name, bytes: Buffer.from(name) }));

export class SseDecoder {
  readonly #handlers: SseHandlers;
  readonly #maxEventBytes: number;
  /** The beginning of a line whose end has not come yet. */
  readonly #rest = new ByteBuilder();
  /** Data of two lines and more. */
  readonly #joined = new ByteBuilder();
  #data = NO_DATA;
  #dataLines = 0;
  #event = 'message';
  #lastEventId: string | undefined;
  #sawId = false;
  #isFirstLine = true;
  #afterCarriageReturn = false;

  /** @param maxEventBytes bound on the data of one event, and on any one line */
  constructor(handlers: SseHandlers, maxEventBytes: number) {
    this.#handlers = handlers;
    this.#maxEventBytes = maxEventBytes;
  }

  /**
   * Takes the next bytes of the stream and hands out every event that they complete. What throws in a handler goes through
   * to the caller; the decoder must not be used after that.
   * @throws {SseEventTooLargeError} the decoder must not be used after that
   */
  push(chunk: Buffer): void {
    let pos = 0;
    if (this.#afterCarriageReturn && chunk.length > 0) {
      this.#afterCarriageReturn = false;
      if (chunk[0] === LINE_FEED) pos = 1;
    }
    let lineFeed = indexOrEnd(chunk, LINE_FEED, pos);
    let carriageReturn = indexOrEnd(chunk, CARRIAGE_RETURN, pos);
    while (pos < chunk.length) {
      if (lineFeed < pos) lineFeed = indexOrEnd(chunk, LINE_FEED, pos);
      if (carriageReturn < pos) carriageReturn = indexOrEnd(chunk, CARRIAGE_RETURN, pos);
      const lineEnd = Math.min(lineFeed, carriageReturn);
      if (lineEnd === chunk.length) return this.#keep(chunk, pos);
      this.#completeLine(chunk, pos, lineEnd);
      pos = lineEnd + 1;
      if (lineEnd !== carriageReturn) continue;
      if (pos === chunk.length) this.#afterCarriageReturn = true;
      else if (chunk[pos] === LINE_FEED) pos += 1;
    }
  }

  #keep(chunk: Buffer, start: number): void {
    this.#checkSize(this.#rest.length + chunk.length - start);
    this.#rest.append(chunk, start, chunk.length);
  }

  #completeLine(chunk: Buffer, start: number, end: number): void {
    this.#checkSize(this.#rest.length + end - start);
    if (this.#rest.length === 0) return this.#readLine(chunk, start, end);
    this.#rest.append(chunk, start, end);
    const line = this.#rest.take();
    this.#readLine(line, 0, line.length);
  }

  #readLine(bytes: Buffer, lineStart: number, end: number): void {
    const start = this.#isFirstLine ? this.#skipByteOrderMark(bytes, lineStart, end) : lineStart;
    if (start === end) return this.#dispatch();
    switch (bytes[start]) {
      case COLON:
        this.#handlers.onComment?.();
        break;
      case 0x64:
        if (isField(bytes, start, end, FIELD.data)) this.#addData(bytes, valueStart(bytes, start + 4, end), end);
        break;
      case 0x65:
        if (isField(bytes, start, end, FIELD.event))
          this.#event = eventName(bytes, valueStart(bytes, start + 5, end), end);
        break;
      case 0x69:
        if (isField(bytes, start, end, FIELD.id)) this.#setId(bytes, valueStart(bytes, start + 2, end), end);
        break;
      case 0x72:
        if (isField(bytes, start, end, FIELD.retry)) this.#retry(bytes, valueStart(bytes, start + 5, end), end);
        break;
      default:
    }
  }

  #addData(bytes: Buffer, start: number, end: number): void {
    this.#dataLines += 1;
    if (this.#dataLines === 1) {
      this.#data = bytes.subarray(start, end);
      return;
    }
    if (this.#dataLines === 2) this.#joined.append(this.#data, 0, this.#data.length);
    this.#checkSize(this.#joined.length + 1 + end - start);
    this.#joined.appendByte(LINE_FEED);
    this.#joined.append(bytes, start, end);
  }

  #setId(bytes: Buffer, start: number, end: number): void {
    if (bytes.subarray(start, end).includes(0)) return;
    this.#sawId = true;
    this.#lastEventId = start === end ? undefined : bytes.toString('utf8', start, end);
  }

  #retry(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    let ms = 0;
    for (let pos = start; pos < end; pos += 1) {
      const digit = (bytes[pos] as number) - 0x30;
      if (digit < 0 || digit > 9) return;
      ms = Math.min(ms * 10 + digit, Number.MAX_SAFE_INTEGER);
    }
    this.#handlers.onRetry?.(ms);
  }

  #dispatch(): void {
    const data = this.#dataLines > 1 ? this.#joined.take() : this.#data;
    const isEmptyEvent = this.#dataLines > 0 || this.#sawId;
    const event = this.#event;
    const lastEventId = this.#lastEventId;
    this.#data = NO_DATA;
    this.#dataLines = 0;
    this.#event = 'message';
    this.#sawId = false;
    if (data.length > 0) this.#handlers.onEvent({ event, data, lastEventId });
    else if (isEmptyEvent) this.#handlers.onEmptyEvent?.(lastEventId);
  }

  #skipByteOrderMark(bytes: Buffer, start: number, end: number): number {
    this.#isFirstLine = false;
    const hasMark = end - start >= 3 && BYTE_ORDER_MARK.equals(bytes.subarray(start, start + 3));
    return hasMark ? start + 3 : start;
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#maxEventBytes) throw new SseEventTooLargeError(this.#maxEventBytes);
  }
}

function indexOrEnd(bytes: Buffer, byte: number, from: number): number {
  const index = bytes.indexOf(byte, from);
  return index === -1 ? bytes.length : index;
}

/** Whether the line is this field, with or without a value. */
function isField(bytes: Buffer, start: number, end: number, name: Buffer): boolean {
  const nameEnd = start + name.length;
  if (nameEnd > end || (nameEnd < end && bytes[nameEnd] !== COLON)) return false;
  return isSame(bytes, start, nameEnd, name);
}

/** @param nameEnd where the colon stands, or the line ends */
function valueStart(bytes: Buffer, nameEnd: number, end: number): number {
  if (nameEnd === end) return end;
  return nameEnd + 1 < end && bytes[nameEnd + 1] === SPACE ? nameEnd + 2 : nameEnd + 1;
}

function eventName(bytes: Buffer, start: number, end: number): string {
  if (start === end) return 'message';
  const known = KNOWN_EVENTS.find((entry) => isSame(bytes, start, end, entry.bytes));
  return known?.name ?? bytes.toString('utf8', start, end);
}
