/** What is learnt of one message while it is read, and how the values that matter are read. */
import { Byte } from './json-cursor.js';
import { escapedText, hasLoneSurrogate, plainText } from './json-text.js';
import type { JsonWalker } from './json-walker.js';
import type { RequestId, Span } from './message.js';

/** Longer ids are refused: an id is kept for as long as its request is in flight. */
export const MAX_ID_BYTES = 512;
const MAX_INTEGER_BYTES = 17;

/** Everything that may turn out to matter; what does is known only when the whole message was read. */
export class Facts {
  isVersion2 = false;
  hasId = false;
  idIsNull = false;
  id: RequestId | undefined = undefined;
  idSpan: Span | undefined = undefined;
  hasMethod = false;
  method: string | undefined = undefined;
  paramsSpan: Span | undefined = undefined;
  hasResult = false;
  hasError = false;
  resultSpan: Span | undefined = undefined;
  name: string | undefined = undefined;
  uri: string | undefined = undefined;
  argumentsSpan: Span | undefined = undefined;
  metaToken: RequestId | undefined = undefined;
  paramsToken: RequestId | undefined = undefined;
  claimedVersion: string | undefined = undefined;
  hasClientCapabilities = false;
  requestId: RequestId | undefined = undefined;
  requestIdSpan: Span | undefined = undefined;
  /** No other key of the envelope could be taken for the id. */
  idIsReliable = true;
}

/** Consumes the value at `pos`. @returns its text, or undefined when it is no string */
export function readText(json: JsonWalker): string | undefined {
  if (json.peek() !== Byte.quote) {
    json.skipValue();
    return undefined;
  }
  const start = json.pos + 1;
  json.takeString();
  if (!json.escaped) return plainText(json.bytes, start, json.pos - 1);
  const text = escapedText(json.bytes, start, json.pos - 1);
  if (hasLoneSurrogate(text)) json.note('a name or id holds half a surrogate pair');
  return text;
}

/** Consumes the value at `pos`. @returns the string or safe integer that it is, else undefined */
export function readId(json: JsonWalker): RequestId | undefined {
  const byte = json.peek();
  if (byte !== Byte.minus && !(byte >= Byte.zero && byte <= Byte.nine)) return readText(json);
  const start = json.pos;
  json.takeNumber();
  return json.integer ? integerAt(json.bytes, start, json.pos) : undefined;
}

/** Whether an id that was read is short enough to be kept. */
export function isShort(id: RequestId): boolean {
  if (typeof id === 'number' || id.length * 3 <= MAX_ID_BYTES) return true;
  return id.length <= MAX_ID_BYTES && Buffer.byteLength(id) <= MAX_ID_BYTES;
}

/** @returns undefined beyond the safe integers, and for `-0`, which would come back as `0` */
function integerAt(bytes: Buffer, start: number, end: number): number | undefined {
  if (end - start > MAX_INTEGER_BYTES) return undefined;
  const isNegative = bytes[start] === Byte.minus;
  let value = 0;
  for (let pos = isNegative ? start + 1 : start; pos < end; pos += 1) {
    value = value * 10 + ((bytes[pos] as number) - Byte.zero);
  }
  if (!Number.isSafeInteger(value) || (isNegative && value === 0)) return undefined;
  return isNegative ? -value : value;
}
