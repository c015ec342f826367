/**
 * Reads the tokens of RFC 8259 from bytes, one after the other, and allocates nothing.
 * It knows no nesting: what may follow what is the walker's business. UTF-8 is not checked here, only noticed (`sawNonAscii`).
 */
import { NotJsonError } from './scan-errors.js';

export const Byte = {
  tab: 0x09,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  space: 0x20,
  quote: 0x22,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  dot: 0x2e,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  openArray: 0x5b,
  backslash: 0x5c,
  closeArray: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

const NOTHING = Buffer.alloc(0);
/** A literal with fewer digits and no exponent is always a finite double. */
const MAX_FINITE_DIGITS = 308;
const ESCAPED_LETTERS: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));
/** 1 for what stands for itself in a string and is ASCII. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte < 0x80 && !'"\\'.includes(String.fromCharCode(byte))),
);
const LITERALS: ReadonlyMap<number, Buffer> = new Map(
  ['true', 'false', 'null'].map((text) => [text.charCodeAt(0), Buffer.from(text)]),
);

export class JsonCursor {
  bytes: Buffer = NOTHING;
  end = 0;
  pos = 0;
  /** The string read last holds at least one backslash. */
  escaped = false;
  /** The number read last is an integer literal: no fraction, no exponent. */
  integer = false;
  /** The number read last may be too large for a double. */
  maybeHuge = false;
  /** Some string so far holds a byte beyond ASCII, so the text needs a UTF-8 check. */
  sawNonAscii = false;
  /** A raw CR or LF stood between tokens. */
  sawLineBreak = false;

  protected load(bytes: Buffer): void {
    this.bytes = bytes;
    this.end = bytes.length;
    this.pos = 0;
    this.sawNonAscii = false;
    this.sawLineBreak = false;
  }

  /** Lets go of the bytes: a scanner lives as long as the process, a message does not. */
  release(): void {
    this.bytes = NOTHING;
    this.end = 0;
    this.pos = 0;
  }

  /** The next byte, or -1 at the end. */
  peek(): number {
    return this.pos < this.end ? (this.bytes[this.pos] as number) : -1;
  }

  /** Skips white space and returns the byte after it, or -1 at the end. */
  peekToken(): number {
    const byte = this.peek();
    return byte > Byte.space ? byte : this.#skipSpace();
  }

  /** @throws {NotJsonError} something else than white space follows */
  expectEnd(): void {
    if (this.peekToken() !== -1) this.fail('unexpected byte');
  }

  /** Reads a string from its opening quote on; `pos` ends behind the closing one. */
  readString(): void {
    const { bytes, end } = this;
    let pos = this.pos + 1;
    while (pos < end && PLAIN[bytes[pos] as number] === 1) pos += 1;
    this.escaped = false;
    this.pos = pos + 1;
    if (pos === end || bytes[pos] !== Byte.quote) this.#readRestOfString(pos);
  }

  /** Reads a number; says in `integer` and `maybeHuge` what it looks like. */
  readNumber(): void {
    const start = this.pos;
    if (this.peek() === Byte.minus) this.pos += 1;
    if (this.peek() === Byte.zero) this.pos += 1;
    else this.#readDigits();
    this.integer = true;
    this.maybeHuge = this.pos - start > MAX_FINITE_DIGITS;
    if (this.peek() === Byte.dot) {
      this.integer = false;
      this.pos += 1;
      this.#readDigits();
    }
    // Bit 5 set makes a letter lower case.
    if ((this.peek() | 0x20) === 0x65) this.#readExponent();
  }

  /** Reads `true`, `false` or `null`. */
  readLiteral(): void {
    const literal = LITERALS.get(this.peek());
    if (literal === undefined) return this.fail(this.pos < this.end ? 'unexpected byte' : 'unexpected end');
    for (let i = 0; i < literal.length; i += 1, this.pos += 1) {
      if (this.peek() !== literal[i]) this.fail('unexpected byte');
    }
  }

  fail(reason: string): never {
    throw new NotJsonError(reason, this.pos);
  }

  /** The string from its first byte on that is not plain. */
  #readRestOfString(start: number): void {
    const { bytes, end } = this;
    let pos = start;
    let union = 0;
    while (pos < end) {
      const byte = bytes[pos] as number;
      if (byte === Byte.quote) {
        this.pos = pos + 1;
        if (union > 0x7f) this.sawNonAscii = true;
        return;
      }
      if (byte < Byte.space) break;
      union |= byte;
      pos = byte === Byte.backslash ? this.#readEscape(pos) : pos + 1;
    }
    this.pos = pos;
    this.fail(pos < end ? 'control character in a string' : 'unterminated string');
  }

  #skipSpace(): number {
    const { bytes, end } = this;
    let { pos } = this;
    while (pos < end) {
      const byte = bytes[pos] as number;
      if (byte === Byte.lineFeed || byte === Byte.carriageReturn) this.sawLineBreak = true;
      else if (byte !== Byte.space && byte !== Byte.tab) break;
      pos += 1;
    }
    this.pos = pos;
    return this.peek();
  }

  /** @returns where the text goes on behind the escape that begins at `start` */
  #readEscape(start: number): number {
    this.escaped = true;
    this.pos = start + 1;
    if (ESCAPED_LETTERS.has(this.peek())) return start + 2;
    if (this.peek() !== 0x75) this.fail('bad escape');
    for (let digit = 0; digit < 4; digit += 1) {
      this.pos += 1;
      if (!isHexDigit(this.peek())) this.fail('bad escape');
    }
    return start + 6;
  }

  #readExponent(): void {
    this.integer = false;
    this.maybeHuge = true;
    this.pos += 1;
    if (this.peek() === Byte.plus || this.peek() === Byte.minus) this.pos += 1;
    this.#readDigits();
  }

  #readDigits(): void {
    const { bytes, end } = this;
    let { pos } = this;
    while (pos < end && isDigit(bytes[pos] as number)) pos += 1;
    if (pos === this.pos) this.fail(pos < end ? 'unexpected byte' : 'unexpected end');
    this.pos = pos;
  }
}

function isDigit(byte: number): boolean {
  return byte >= Byte.zero && byte <= Byte.nine;
}

function isHexDigit(byte: number): boolean {
  const letter = byte | 0x20;
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x66);
}
