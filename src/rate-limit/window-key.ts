import { createHash } from 'node:crypto';

const MAX_PLAIN_LENGTH = 128;

/**
 * The key of one window, from the name of its limit and the values it is counted apart by.
 * Different inputs give different keys: each part carries its length, and an absent value differs from every present one.
 * Long keys become their SHA-256, so that what a caller sends cannot make a key grow.
 */
export function windowKey(kind: 'config' | 'policy', name: string, scope: readonly (string | undefined)[]): string {
  let key = `${kind}:${name}`;
  for (const part of scope) key += part === undefined ? ':-' : `:${part.length}:${part}`;
  // UTF-16, since UTF-8 would make one character of all lone surrogates.
  return key.length <= MAX_PLAIN_LENGTH ? key : `sha256:${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}
