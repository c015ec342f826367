import { FramingError } from './errors.js';
import { COLON, CR, HTAB, LF, octetClass, SP, TEXT, TOKEN } from '../core/octets.js';
import type { ResponseHeaders } from './types.js';

const MAX_FIELDS = 200;
const SLOTS_PER_FIELD = 4;
const FIRST_BUFFER_BYTES = 1024;

/** `HTTP/1.` and, at 0, what may follow: minor version, space, three digits. */
const STATUS_PREFIX = Buffer.from('HTTP/1.', 'latin1');
const MINOR_VERSION_AT = 7;
const STATUS_AT = 9;
const STATUS_END = 12;

const IN_STATUS = 0;
const IN_REASON = 1;
const AT_LINE_FEED = 2;
const AT_LINE = 3;
const IN_NAME = 4;
const BEFORE_VALUE = 5;
const IN_VALUE = 6;
const AT_LAST_LINE_FEED = 7;
const DONE = 8;

/**
 * Reads a response head, or a trailer section, from bytes that come in any pieces. Knows line ends, names and values,
 * not what any of them means. Takes nothing that llhttp refuses: a bare CR or LF, a space before the colon, a folded
 * line, a control character.
 */
export class FieldScanner {
  readonly #maxBytes: number;
  #state = IN_STATUS;
  /** Bytes of a block that did not come in one piece, from its start. */
  #kept: Buffer | undefined;
  #keptBytes = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  #slots: number[] = [];
  #fields: Fields | undefined;

  /** @param maxBytes Of one block, the empty line included. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Expects a status line and fields. */
  startHead(): void {
    this.#start(IN_STATUS);
  }

  /** Expects fields alone. */
  startTrailers(): void {
    this.#start(AT_LINE);
  }

  /**
   * Reads on, in `bytes` from `from` to `to`.
   *
   * @returns where the block ends, or -1 when all of it was taken and more is needed
   * @throws {FramingError} the bytes are no such block, or too many
   */
  scan(bytes: Buffer, from: number, to: number): number {
    const room = this.#maxBytes - this.#keptBytes;
    const end = to - from > room ? from + room : to;
    const stop = this.#kept === undefined ? this.#scanInPlace(bytes, from, end) : this.#scanKept(bytes, from, end);
    if (stop < 0 && end - from === room) throw new FramingError(`header block over ${this.#maxBytes} bytes`);
    return stop;
  }

  /** Hands out what was read and forgets it. */
  take(): Fields {
    const fields = this.#fields as Fields;
    this.#fields = undefined;
    return fields;
  }

  #start(state: number): void {
    this.#state = state;
    this.#kept = undefined;
    this.#keptBytes = 0;
    this.#slots = [];
  }

  #scanInPlace(bytes: Buffer, from: number, to: number): number {
    const stop = this.#run(bytes, from, from, to);
    if (stop < 0) this.#keep(bytes, from, to);
    else this.#finish(bytes, from, stop);
    return stop;
  }

  #scanKept(bytes: Buffer, from: number, to: number): number {
    const seen = this.#keptBytes;
    this.#keep(bytes, from, to);
    const kept = this.#kept as Buffer;
    const stop = this.#run(kept, 0, seen, this.#keptBytes);
    if (stop < 0) return -1;
    this.#finish(kept, 0, stop);
    return from + stop - seen;
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.#keptBytes + to - from;
    if (this.#kept === undefined || this.#kept.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_BUFFER_BYTES, needed * 2));
      this.#kept?.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    bytes.copy(this.#kept, this.#keptBytes, from, to);
    this.#keptBytes = needed;
  }

  #finish(bytes: Buffer, start: number, stop: number): void {
    this.#fields = new Fields(bytes.toString('latin1', start, stop), this.#slots);
    this.#kept = undefined;
  }

  /** @param base Where the block starts in `bytes`: all remembered positions are relative to it. */
  #run(bytes: Buffer, base: number, from: number, to: number): number {
    // In a local: this loop sees every byte of every head.
    let state = this.#state;
    let at = from;
    while (at < to) {
      const byte = bytes[at] as number;
      switch (state) {
        case IN_STATUS:
          state = statusByte(byte, at - base);
          break;
        case IN_REASON:
          at = skip(bytes, at, to, TEXT);
          if (at === to) continue;
          if (bytes[at] !== CR) throw new FramingError('illegal character in the status line');
          state = AT_LINE_FEED;
          break;
        case AT_LINE_FEED:
          requireLineFeed(byte);
          state = AT_LINE;
          break;
        case AT_LINE:
          state = byte === CR ? AT_LAST_LINE_FEED : this.#startName(byte, at - base);
          break;
        case IN_NAME:
          at = skip(bytes, at, to, TOKEN);
          if (at === to) continue;
          if (bytes[at] !== COLON) throw new FramingError('illegal character in a header name');
          this.#nameEnd = at - base;
          state = BEFORE_VALUE;
          break;
        case BEFORE_VALUE:
          if (byte === SP || byte === HTAB) break;
          this.#valueStart = at - base;
          state = IN_VALUE;
          continue;
        case IN_VALUE:
          at = skip(bytes, at, to, TEXT);
          if (at === to) continue;
          if (bytes[at] !== CR) throw new FramingError('illegal character in a header value');
          this.#addField(bytes, base, at - base);
          state = AT_LINE_FEED;
          break;
        case AT_LAST_LINE_FEED:
          requireLineFeed(byte);
          this.#state = DONE;
          return at + 1;
        default:
          throw new Error('the scanner was not started');
      }
      at += 1;
    }
    this.#state = state;
    return -1;
  }

  #startName(byte: number, position: number): number {
    if (((octetClass[byte] as number) & TOKEN) === 0) throw new FramingError('illegal start of a header line');
    this.#nameStart = position;
    return IN_NAME;
  }

  #addField(bytes: Buffer, base: number, lineEnd: number): void {
    if (this.#slots.length === MAX_FIELDS * SLOTS_PER_FIELD) throw new FramingError(`more than ${MAX_FIELDS} headers`);
    let valueEnd = lineEnd;
    while (valueEnd > this.#valueStart && isBlank(bytes[base + valueEnd - 1] as number)) valueEnd -= 1;
    this.#slots.push(this.#nameStart, this.#nameEnd, this.#valueStart, valueEnd);
  }
}

/** One header block: its text, and where in it each name and value stands. */
export class Fields implements ResponseHeaders {
  readonly #text: string;
  readonly #slots: readonly number[];

  constructor(text: string, slots: readonly number[]) {
    this.#text = text;
    this.#slots = slots;
  }

  /** Of a block that has a status line. */
  get status(): number {
    return this.#digit(STATUS_AT) * 100 + this.#digit(STATUS_AT + 1) * 10 + this.#digit(STATUS_AT + 2);
  }

  /** The 0 or 1 of HTTP/1.0 and HTTP/1.1, of a block that has a status line. */
  get minorVersion(): number {
    return this.#digit(MINOR_VERSION_AT);
  }

  get(name: string): string | undefined {
    const slots = this.#slots;
    let found: string | undefined;
    for (let slot = 0; slot < slots.length; slot += SLOTS_PER_FIELD) {
      const start = slots[slot] as number;
      const end = slots[slot + 1] as number;
      if (end - start !== name.length || this.#text.slice(start, end).toLowerCase() !== name) continue;
      const value = this.#text.slice(slots[slot + 2], slots[slot + 3]);
      found = found === undefined ? value : `${found}, ${value}`;
    }
    return found;
  }

  pick(names: ReadonlySet<string>): string[] {
    const slots = this.#slots;
    const picked: string[] = [];
    for (let slot = 0; slot < slots.length; slot += SLOTS_PER_FIELD) {
      const name = this.#text.slice(slots[slot], slots[slot + 1]).toLowerCase();
      if (names.has(name)) picked.push(name, this.#text.slice(slots[slot + 2], slots[slot + 3]));
    }
    return picked;
  }

  #digit(position: number): number {
    return this.#text.charCodeAt(position) - 0x30;
  }
}

/** @returns the state after the byte at `position` of a status line */
function statusByte(byte: number, position: number): number {
  if (position < MINOR_VERSION_AT) {
    if (byte === STATUS_PREFIX[position]) return IN_STATUS;
  } else if (position === MINOR_VERSION_AT) {
    if (byte === 0x30 || byte === 0x31) return IN_STATUS;
  } else if (position < STATUS_AT) {
    if (byte === SP) return IN_STATUS;
  } else if (position < STATUS_END) {
    const lowest = position === STATUS_AT ? 0x31 : 0x30;
    if (byte >= lowest && byte <= 0x39) return IN_STATUS;
  } else if (byte === SP) return IN_REASON;
  else if (byte === CR) return AT_LINE_FEED;
  throw new FramingError('no HTTP/1.x status line');
}

function skip(bytes: Buffer, from: number, to: number, octets: number): number {
  let at = from;
  while (at < to && ((octetClass[bytes[at] as number] as number) & octets) !== 0) at += 1;
  return at;
}

function requireLineFeed(byte: number): void {
  if (byte !== LF) throw new FramingError('CR without LF');
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}
