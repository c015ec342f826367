/**
 * Regular expressions whose time grows with the input and never explodes (RE2 syntax: no look-around, no
 * back-references). The only place that knows the engine.
 */
import { RE2JS } from 're2js';

/** Longer inputs are refused by throwing, not by `false`, so that a negated rule cannot turn that into a pass. */
const MAX_INPUT_LENGTH = 65_536;
const MAX_PATTERN_LENGTH = 2048;
const MULTILINE_FLAG = /\(\?[a-zA-Z]*m/;

export class LinearRegex {
  readonly pattern: string;
  readonly #program: RE2JS;

  /** @throws {Error} what the constructor throws */
  static check(pattern: string): void {
    new LinearRegex(pattern).toString();
  }

  /** @throws {Error} the pattern is no RE2 pattern, is too long, or sets the `m` flag */
  constructor(pattern: string) {
    if (pattern.length > MAX_PATTERN_LENGTH) throw new Error(`a pattern is at most ${MAX_PATTERN_LENGTH} characters`);
    // With (?m) `^safe$` matches "evil\nsafe": never what a rule means.
    if (MULTILINE_FLAG.test(pattern)) throw new Error('the flag m is not supported: ^ and $ are the ends of the text');
    this.pattern = pattern;
    this.#program = RE2JS.compile(RE2JS.translateRegExp(pattern));
  }

  /** Whether the pattern is found anywhere in the text, as JSON Schema's `pattern` asks. @throws {RangeError} */
  test(text: string): boolean {
    assertLength(text);
    return this.#program.test(text);
  }

  /** Whether the pattern matches the whole text. @throws {RangeError} */
  matchesWhole(text: string): boolean {
    assertLength(text);
    return this.#program.testExact(text);
  }

  /** Distinct per pattern: ajv tells patterns apart by this text alone. */
  toString(): string {
    return `re2:${this.pattern}`;
  }
}

function assertLength(text: string): void {
  if (text.length > MAX_INPUT_LENGTH) throw new RangeError(`a pattern judges at most ${MAX_INPUT_LENGTH} characters`);
}
