/**
 * Finds numbers that `JSON.parse` bends: 1e400 becomes Infinity, 9007199254740993 loses its last digit.
 * Reads the text the caller sent, because the parsed value cannot tell. The text is known to be valid JSON.
 */
import { type ReadTree, joinField } from './read-tree.js';

/** Fewer than 16 digits and no exponent always survive. */
const MAYBE_BENT = /[0-9.]{16}|[0-9][eE]/;
const MAX_DEPTH = 256;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PLAIN_TOKEN = /[^\s,\]}]+/y;
const WHITE_SPACE = /[ \t\r\n]*/y;

/** Most texts hold no such number anywhere; for them this is all there is to do. */
export function mayHoldBentNumber(raw: string): boolean {
  return MAYBE_BENT.test(raw);
}

/**
 * @returns the dotted path of the first number below `reads` that does not survive parsing
 * @throws {RangeError} nested too deep
 * @throws {SyntaxError} not JSON
 */
export function findBentNumber(raw: string, reads: ReadTree): string | undefined {
  if (!mayHoldBentNumber(raw)) return undefined;
  return new NumberScan(raw).find(reads);
}

/** Whether the double nearest to the literal prints as the same decimal number. */
export function survivesParsing(literal: string): boolean {
  const value = Number(literal);
  return Number.isFinite(value) && decimal(literal) === decimal(String(value));
}

/** Digits without leading and trailing zeros, and the power of ten of the last one: equal texts are equal numbers. */
function decimal(literal: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(literal);
  if (match === null) return literal;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

class NumberScan {
  readonly #text: string;
  #position = 0;
  #found: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  find(reads: ReadTree): string | undefined {
    this.#value(reads, false, '', 0);
    return this.#found;
  }

  #value(tree: ReadTree | undefined, whole: boolean, field: string, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError('arguments are nested too deep');
    const everything = whole || (tree?.whole ?? false);
    const start = this.#peek();
    if (start === '{') return this.#object(tree, everything, field, depth);
    if (start === '[') return this.#array(everything, field, depth);
    if (start === '"') return void this.#string();
    const literal = this.#take(NUMBER);
    if (literal === '') {
      this.#require(this.#take(PLAIN_TOKEN) !== '');
      return;
    }
    if (everything && !survivesParsing(literal)) this.#found ??= field;
  }

  #object(tree: ReadTree | undefined, whole: boolean, field: string, depth: number): void {
    this.#position++;
    if (this.#skip('}')) return;
    do {
      this.#peek();
      const key = this.#string();
      this.#require(this.#skip(':'));
      this.#value(tree?.keys.get(key), whole, joinField(field, key), depth + 1);
    } while (this.#skip(','));
    this.#require(this.#skip('}'));
  }

  #array(whole: boolean, field: string, depth: number): void {
    this.#position++;
    if (this.#skip(']')) return;
    let index = 0;
    do this.#value(undefined, whole, joinField(field, `${index++}`), depth + 1);
    while (this.#skip(','));
    this.#require(this.#skip(']'));
  }

  #string(): string {
    const start = this.#position;
    this.#require(this.#text[start] === '"');
    let end = start + 1;
    while (this.#text[end] !== '"') {
      this.#require(end < this.#text.length);
      end += this.#text[end] === '\\' ? 2 : 1;
    }
    this.#position = end + 1;
    return String(JSON.parse(this.#text.slice(start, this.#position)));
  }

  #peek(): string | undefined {
    this.#take(WHITE_SPACE);
    return this.#text[this.#position];
  }

  #skip(token: string): boolean {
    if (this.#peek() !== token) return false;
    this.#position++;
    return true;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text)?.[0] ?? '';
    this.#position += match.length;
    return match;
  }

  #require(condition: boolean): void {
    if (!condition) throw new SyntaxError('the arguments are not JSON');
  }
}
