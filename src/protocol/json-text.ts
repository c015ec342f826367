/** From the bytes of a JSON string to its text. The bytes must have passed the grammar; UTF-8 may still be unchecked. */

const CACHE_SLOTS = 512;
const CACHED_BYTES = 64;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A short text with its bytes: comparing bytes with bytes is much faster than with characters. */
interface KnownText {
  readonly text: string;
  readonly bytes: Buffer;
}

/** Method and tool names come back all the time: handing out the same string saves a native call and keeps its hash. */
const NOTHING_KNOWN: KnownText = { text: '', bytes: Buffer.alloc(0) };
const cache: KnownText[] = Array.from({ length: CACHE_SLOTS }, () => NOTHING_KNOWN);

/** @param start behind the opening quote; `end` is where the closing one stands. The string holds no escape. */
export function plainText(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length === 0) return '';
  if (length > CACHED_BYTES) return bytes.toString('utf8', start, end);
  const slot = slotOf(bytes, start, end);
  const known = cache[slot] as KnownText;
  if (isSame(bytes, start, end, known.bytes)) return known.text;
  const text = bytes.toString('utf8', start, end);
  cache[slot] = { text, bytes: Buffer.from(bytes.subarray(start, end)) };
  return text;
}

/** Like {@link plainText}, for a string that holds escapes. */
export function escapedText(bytes: Buffer, start: number, end: number): string {
  return JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string;
}

/** Whether the range holds exactly the bytes of `other`. */
export function isSame(bytes: Buffer, start: number, end: number, other: Buffer): boolean {
  const { length } = other;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i += 1) {
    if (bytes[start + i] !== other[i]) return false;
  }
  return true;
}

/** Half of a surrogate pair without the other: parsers disagree about what it becomes. Only an escape can write one. */
export function hasLoneSurrogate(text: string): boolean {
  return LONE_SURROGATE.test(text);
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const first = bytes[start] as number;
  const middle = bytes[(start + end) >> 1] as number;
  const last = bytes[end - 1] as number;
  return (first * 7 + middle * 31 + last * 101 + (end - start) * 13) & (CACHE_SLOTS - 1);
}
