/** Facts about strings that rules depend on: valid Unicode, and what a careless parser would take as the same key. */

const LONE_SURROGATE = /\p{Cs}/u;
const FOLDS_TO_ITSELF = /^[a-z0-9_.-]*$/;
const INVISIBLE = /[\p{Cc}\p{Default_Ignorable_Code_Point}\s]/gu;

/** False if the string holds half a surrogate pair: then two programs may read two different strings. */
export function isValidUnicode(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/**
 * Equal for any two keys that some parser may take for one: case, compatibility forms (`ſ`, the Kelvin sign),
 * invisible characters and NUL. It folds more than any known parser, because a false alarm only costs a denial.
 */
export function foldKey(key: string): string {
  if (FOLDS_TO_ITSELF.test(key)) return key;
  return key.normalize('NFKC').replace(INVISIBLE, '').toUpperCase().toLowerCase().normalize('NFKC');
}

/** The candidate a person most likely meant, if one is close. */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 2.5)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `did you mean "x"?`, ready to be spread into a problem. */
export function didYouMean(word: string, candidates: Iterable<string>): { hint?: string } {
  const match = closest(word, candidates);
  return match === undefined ? {} : { hint: `did you mean "${match}"?` };
}

function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8 || a.length > 64) return Number.POSITIVE_INFINITY;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? Number.POSITIVE_INFINITY;
}
