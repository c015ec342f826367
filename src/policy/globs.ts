/**
 * Name patterns: `*` is the only special character, everything else is compared by exact code points.
 * What a `*` may stand for depends on the side: an `allow` must not admit a name that only looks right,
 * a `deny` must not be dodged by one that looks odd.
 */
import { isPlainUri } from './uris.js';
import { isValidUnicode } from './text.js';

export type PatternUse =
  /** `*` stands for `A-Za-z0-9_.-` only, in names up to 128 characters. */
  | 'allow-name'
  /** `*` stands for what a plainly written URI may hold, see `isPlainUri`. */
  | 'allow-uri'
  /** `*` stands for anything. */
  | 'any';

export interface Glob {
  /** The pattern, if it has no `*`: such patterns are looked up instead of tried. */
  readonly literal: string | undefined;
  /** What every name begins with that the pattern matches: the text before its first `*`. */
  readonly head: string;
  matches(name: string): boolean;
}

const MAX_PATTERN_LENGTH = 512;
const MAX_NAME_LENGTH = 128;
const NAME_CHARACTERS = /^[A-Za-z0-9_.-]*$/;

/** @returns what is wrong with a pattern, or undefined */
export function patternProblem(pattern: string): string | undefined {
  if (pattern === '') return 'an empty pattern matches nothing';
  if (pattern.length > MAX_PATTERN_LENGTH) return `a pattern is at most ${MAX_PATTERN_LENGTH} characters long`;
  if (!isValidUnicode(pattern)) return 'the pattern is not valid Unicode (half a surrogate pair)';
  if (pattern.includes('**')) return 'two * in a row mean the same as one: write *';
  return undefined;
}

export function compileGlob(pattern: string, use: PatternUse): Glob {
  if (!pattern.includes('*')) return { literal: pattern, head: pattern, matches: (name) => name === pattern };
  const pieces = pattern.split('*');
  const head = pieces[0] ?? '';
  switch (use) {
    case 'any':
      return { literal: undefined, head, matches: (name) => matchPieces(pieces, name, () => true) };
    case 'allow-uri':
      return { literal: undefined, head, matches: (uri) => matchPieces(pieces, uri, () => true) && isPlainUri(uri) };
    case 'allow-name':
      return { literal: undefined, head, matches: (name) => isShortName(name) && matchPieces(pieces, name, isNameRun) };
  }
}

function isNameRun(run: string): boolean {
  return NAME_CHARACTERS.test(run);
}

function isShortName(name: string): boolean {
  if (name.length <= MAX_NAME_LENGTH) return true;
  return name.length <= 2 * MAX_NAME_LENGTH && Array.from(name).length <= MAX_NAME_LENGTH;
}

/**
 * Takes the pieces from the left, each at its first place. That is enough even when a run is restricted: a later
 * place would only move literal text, whose characters stay the same, from a piece into a run.
 */
function matchPieces(pieces: readonly string[], name: string, isRun: (run: string) => boolean): boolean {
  const first = pieces[0] ?? '';
  const last = pieces[pieces.length - 1] ?? '';
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let position = first.length;
  for (let index = 1; index < pieces.length - 1; index++) {
    const piece = pieces[index] ?? '';
    const found = name.indexOf(piece, position);
    if (found === -1 || found + piece.length > end || !isRun(name.slice(position, found))) return false;
    position = found + piece.length;
  }
  return isRun(name.slice(position, end));
}
