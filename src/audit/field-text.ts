import { LRUCache } from 'lru-cache';
import { escapeInvisible } from './record.js';
import { redactText } from './redact.js';

/** Most bytes of one text field, as it stands in the file. */
const MAX_FIELD_BYTES = 8 * 1024;
/** No text of so few units can pass the cap: each becomes 6 bytes at most. */
const SURELY_FITS = Math.floor(MAX_FIELD_BYTES / 6);

/** Cuts a text to what one field may take; the cut says so and gives the length there was. */
export function capped(text: string | undefined): string | undefined {
  return text === undefined || text.length <= SURELY_FITS ? text : cut(text);
}

/** Names and reasons come again and again; what does not is forgotten first. */
const redacted = new LRUCache<string, string>({ max: 1000 });
const MAX_KNOWN_LENGTH = 256;

/** For text that a client can choose: secrets in it go, then it is cut. */
export function cappedAndRedacted(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (text.length > MAX_KNOWN_LENGTH) return redactedAnew(text);
  let known = redacted.get(text);
  if (known === undefined) redacted.set(text, (known = redactText(text)));
  return known;
}

function redactedAnew(text: string): string | undefined {
  // Redaction looks at twice the cap, so that the cut cannot leave half of a secret unrecognised.
  return capped(redactText(text.length > 2 * MAX_FIELD_BYTES ? text.slice(0, 2 * MAX_FIELD_BYTES) : text));
}

function cut(text: string): string {
  if (fieldBytes(text) <= MAX_FIELD_BYTES) return text;
  const mark = `...[cut, ${text.length} characters]`;
  let kept = text.slice(0, MAX_FIELD_BYTES - mark.length);
  for (let bytes = fieldBytes(kept + mark); bytes > MAX_FIELD_BYTES; bytes = fieldBytes(kept + mark)) {
    kept = kept.slice(0, Math.floor(kept.length * Math.min(0.95, MAX_FIELD_BYTES / bytes)));
  }
  return kept + mark;
}

function fieldBytes(text: string): number {
  return Buffer.byteLength(escapeInvisible(JSON.stringify(text))) - 2;
}
