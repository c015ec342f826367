import { FramingError } from './errors.js';
import { CR, hexDigit, LF, octetClass, TEXT, TOKEN } from '../core/octets.js';

/** Extensions are ignored, so a line of them is only a way to make us work. */
const MAX_LINE_BYTES = 1024;
/** Keeps `size * 16` exact; no body comes near it. */
const MAX_CHUNK_BYTES = 2 ** 44;

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const FIRST_DIGIT = 0;
const DIGITS = 1;
const EXTENSION = 2;
const EXTENSION_NAME = 3;
const EXTENSION_VALUE = 4;
const IN_VALUE = 5;
const QUOTED = 6;
const ESCAPED = 7;
const AFTER_QUOTED = 8;
const LINE_FEED = 9;

/**
 * Reads the line before a chunk (RFC 9112 section 7.1), in any pieces. Extensions must be well formed and are ignored.
 * Spaces are refused everywhere outside quotes, as llhttp does.
 */
export class ChunkSizeScanner {
  #state = FIRST_DIGIT;
  #lineBytes = 0;
  #size = 0;

  /** Bytes in the chunk; 0 for the last one. */
  get size(): number {
    return this.#size;
  }

  start(): void {
    this.#state = FIRST_DIGIT;
    this.#lineBytes = 0;
    this.#size = 0;
  }

  /**
   * @returns where the line ends in `bytes`, or -1 when more is needed
   * @throws {FramingError} the line is no chunk size, or its size or length is beyond all reason
   */
  scan(bytes: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      const byte = bytes[at] as number;
      this.#lineBytes += 1;
      if (this.#lineBytes > MAX_LINE_BYTES) throw new FramingError('chunk line too long');
      if (this.#state === LINE_FEED) {
        if (byte !== LF) throw new FramingError('CR without LF');
        return at + 1;
      }
      const digit = this.#state <= DIGITS ? hexDigit(byte) : -1;
      if (digit < 0) this.#state = stateAfter(this.#state, byte);
      else this.#addDigit(digit);
    }
    return -1;
  }

  #addDigit(digit: number): void {
    this.#state = DIGITS;
    this.#size = this.#size * 16 + digit;
    if (this.#size > MAX_CHUNK_BYTES) throw new FramingError('chunk size overflow');
  }
}

function stateAfter(state: number, byte: number): number {
  const octets = octetClass[byte] as number;
  switch (state) {
    case DIGITS:
    case AFTER_QUOTED:
      return endOf(byte);
    case EXTENSION:
      if ((octets & TOKEN) !== 0) return EXTENSION_NAME;
      break;
    case EXTENSION_NAME:
      if ((octets & TOKEN) !== 0) return EXTENSION_NAME;
      return byte === EQUALS ? EXTENSION_VALUE : endOf(byte);
    case EXTENSION_VALUE:
      if (byte === QUOTE) return QUOTED;
      if ((octets & TOKEN) !== 0) return IN_VALUE;
      break;
    case IN_VALUE:
      return (octets & TOKEN) !== 0 ? IN_VALUE : endOf(byte);
    case QUOTED:
      if (byte === QUOTE) return AFTER_QUOTED;
      if (byte === BACKSLASH) return ESCAPED;
      if ((octets & TEXT) !== 0) return QUOTED;
      break;
    case ESCAPED:
      if ((octets & TEXT) !== 0) return QUOTED;
      break;
  }
  throw new FramingError('illegal chunk size line');
}

function endOf(byte: number): number {
  if (byte === SEMICOLON) return EXTENSION;
  if (byte === CR) return LINE_FEED;
  throw new FramingError('illegal chunk size line');
}
