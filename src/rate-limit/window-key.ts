import { createHash } from 'node:crypto';

const MAX_PLAIN_LENGTH = 128;

/**
 * The key of one window, from the name of its limit and the values it is counted apart by.
 * Different inputs give different keys: each part carries its length, and an absent value differs from every present one.
 * Long keys become their SHA-256, so that what a caller sends cannot make a key grow.
 */
export function windowKey(kind: 'config' | 'policy', name: string, scope: readonly (string | undefined)[]): string {
  let key = keyStart(kind, name);
  for (const part of scope) key += keyPart(part);
  return boundedKey(key);
}

/** What a key begins with; the values it is counted apart by follow. */
export function keyStart(kind: 'config' | 'policy', name: string): string {
  return `${kind}:${name}`;
}

/** What one value adds to a key. */
export function keyPart(value: string | undefined): string {
  return value === undefined ? ':-' : `:${value.length}:${value}`;
}

/** A key as it is used, from all of its parts. */
export function boundedKey(key: string): string {
  // UTF-16, since UTF-8 would make one character of all lone surrogates.
  return key.length <= MAX_PLAIN_LENGTH ? key : `sha256:${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}
