/**
 * Finds the end of a container by its strings and brackets alone, much faster than reading it.
 * A valid container ends where this says. An invalid one may pass, so only use it where nothing inside is judged.
 */
import { Byte } from './json-cursor.js';

/** Strings up to this many bytes are read byte by byte; beyond, a native search for the quote is faster than starting it costs. */
const SHORT_STRING_BYTES = 48;

/** @returns the offset behind the container at `start`; -1 if it does not end; -2 if it nests deeper than `maxDepth` */
export function skimContainer(bytes: Buffer, start: number, end: number, maxDepth: number): number {
  let depth = 0;
  let pos = start;
  while (pos < end) {
    const byte = bytes[pos] as number;
    pos += 1;
    if (byte === Byte.quote) {
      pos = skimString(bytes, pos, end);
      if (pos === -1) return -1;
      continue;
    }
    // Bit 5 makes `[` a `{` and `]` a `}`, and maps no other byte but those onto them.
    const bracket = byte | 0x20;
    if (bracket === Byte.openObject) {
      depth += 1;
      if (depth > maxDepth) return -2;
    } else if (bracket === Byte.closeObject) {
      depth -= 1;
      if (depth === 0) return pos;
    }
  }
  return -1;
}

/** @param start behind the opening quote. @returns the offset behind the closing one, or -1 */
function skimString(bytes: Buffer, start: number, end: number): number {
  let pos = start;
  for (;;) {
    const native = Math.min(pos + SHORT_STRING_BYTES, end);
    while (pos < native) {
      const byte = bytes[pos] as number;
      if (byte === Byte.quote) return pos + 1;
      pos += byte === Byte.backslash ? 2 : 1;
    }
    if (pos >= end) return -1;
    const quote = bytes.indexOf(Byte.quote, pos);
    if (quote === -1 || quote >= end) return -1;
    if (!isEscaped(bytes, quote, pos)) return quote + 1;
    pos = quote + 1;
  }
}

/** @param from an offset at which no escape is open */
function isEscaped(bytes: Buffer, quote: number, from: number): boolean {
  let pos = quote;
  while (pos > from && bytes[pos - 1] === Byte.backslash) pos -= 1;
  return (quote - pos) % 2 === 1;
}
