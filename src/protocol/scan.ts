/**
 * From bytes to messages: the only door by which what a peer sent becomes a {@link Message}.
 * What a client sent is read strictly, so that no other parser can see another message in it; what an upstream sent, safely.
 */
import { isUtf8 } from 'node:buffer';
import { Byte } from './json-cursor.js';
import { JsonLimitError, type WalkRules } from './json-walker.js';
import type { Message, RequestId, Span } from './message.js';
import { EnvelopeReader } from './scan-envelope.js';
import { InvalidMessageError, NotJsonError } from './scan-errors.js';
import { Facts } from './scan-facts.js';

export interface ScanLimits {
  /** Containers inside one another; the message itself is the first. */
  readonly maxDepth: number;
  /** Keys, scalars and containers together, over the whole body. */
  readonly maxTokens: number;
}

const MAX_CLIENT_BATCH = 32;
const MAX_UPSTREAM_BATCH = 1000;
const UNLIMITED = 0x3fffffff;
const UPSTREAM_RULES: WalkRules = { strict: false, maxDepth: 1000, maxTokens: UNLIMITED };
const RECOVERY_RULES: WalkRules = { strict: false, maxDepth: UNLIMITED, maxTokens: UNLIMITED };
/**
 * Beyond this size the inside of a result is skimmed and not read: the envelope cannot be forged by it, since a valid
 * result ends where the skimmer says, and a client gets the same bytes and refuses an invalid one by itself.
 */
const SKIM_BYTES = 65_536;

/** Scanning is synchronous and never re-entered, so one reader serves all and a scan allocates next to nothing. */
const reader = new EnvelopeReader();

/**
 * One JSON-RPC message sent by a client.
 * @throws {NotJsonError | InvalidMessageError}
 */
export function scanClientMessage(bytes: Buffer, limits: ScanLimits): Message {
  return scan(bytes, clientRules(limits), false, 0) as Message;
}

/**
 * One message or a batch sent by a client: at least one, at most 32.
 * @throws {NotJsonError | InvalidMessageError} for the whole body; no message of a bad batch gets through
 */
export function scanClientBody(bytes: Buffer, limits: ScanLimits): Message | readonly Message[] {
  return scan(bytes, clientRules(limits), false, MAX_CLIENT_BATCH);
}

/**
 * What an upstream sent in one piece: a message, or a batch of them as an array.
 * @throws {NotJsonError | InvalidMessageError}
 */
export function scanUpstream(bytes: Buffer): Message | readonly Message[] {
  const isLarge = bytes.length > SKIM_BYTES;
  // Skimming does not look into strings, and a raw line break in one would break the framing downstream.
  return scan(bytes, UPSTREAM_RULES, isLarge && !hasInnerLineBreak(bytes), MAX_UPSTREAM_BATCH);
}

/**
 * The bytes of a message with the value at `span` replaced by another JSON text; scan them to get a message again.
 * @param replacement JSON text; see {@link encodeId} for ids
 */
export function replaceSpan(message: Message, span: Span, replacement: Buffer | string): Buffer {
  const { raw } = message;
  const value = typeof replacement === 'string' ? Buffer.from(replacement) : replacement;
  const edited = Buffer.allocUnsafe(span.start + value.length + raw.length - span.end);
  raw.copy(edited, 0, 0, span.start);
  value.copy(edited, span.start);
  raw.copy(edited, span.start + value.length, span.end);
  return edited;
}

/** The JSON text of an id. */
export function encodeId(id: RequestId): string {
  return typeof id === 'number' ? String(id) : JSON.stringify(id);
}

function clientRules(limits: ScanLimits): WalkRules {
  return { strict: true, maxDepth: limits.maxDepth, maxTokens: limits.maxTokens };
}

function scan(bytes: Buffer, rules: WalkRules, skim: boolean, maxBatch: number): Message | readonly Message[] {
  try {
    reader.json.begin(bytes, rules);
    reader.skimResults = skim;
    return scanText(bytes, skim, maxBatch);
  } catch (error) {
    if (!(error instanceof JsonLimitError)) throw error;
    throw new InvalidMessageError(error.message, recoverId(bytes));
  } finally {
    reader.json.release();
  }
}

function scanText(bytes: Buffer, skim: boolean, maxBatch: number): Message | readonly Message[] {
  const { json } = reader;
  const first = json.peekToken();
  const isBatch = first === Byte.openArray && maxBatch > 0;
  const facts = new Facts();
  const scanned = isBatch ? readBatch(maxBatch) : readOne(first, facts);
  json.expectEnd();
  // Skimmed strings were not looked at, so nothing is known of their bytes.
  if ((skim || json.sawNonAscii) && !isUtf8(bytes)) throw new NotJsonError('invalid UTF-8', 0);
  if (json.problem === undefined && scanned !== undefined) return scanned;
  const id = facts.idIsReliable ? facts.id : undefined;
  throw new InvalidMessageError(json.problem ?? 'not an object', id);
}

function readOne(first: number, facts: Facts): Message | undefined {
  if (first === Byte.openObject) return reader.read(facts);
  reader.json.note('not an object');
  reader.json.skipValue();
  return undefined;
}

function readBatch(maxBatch: number): readonly Message[] {
  const { json } = reader;
  const messages: Message[] = [];
  json.pos += 1;
  let byte = json.peekToken();
  if (byte === Byte.closeArray) json.note('an empty batch');
  for (let count = 1; byte !== Byte.closeArray; count += 1) {
    if (count > maxBatch) throw new InvalidMessageError(`a batch of more than ${maxBatch} messages`);
    const message = readOne(byte, new Facts());
    if (message !== undefined) messages.push(message);
    byte = json.peekToken();
    if (byte === Byte.closeArray) break;
    if (byte !== Byte.comma) json.fail('unexpected byte');
    json.pos += 1;
    byte = json.peekToken();
    if (byte === Byte.closeArray) json.fail('unexpected byte');
  }
  json.pos += 1;
  return messages;
}

/** A message over a limit still has a caller that waits; its id can be found by the brackets alone. */
function recoverId(bytes: Buffer): RequestId | undefined {
  try {
    reader.json.begin(bytes, RECOVERY_RULES);
    if (reader.json.peekToken() !== Byte.openObject || !isUtf8(bytes)) return undefined;
    const id = reader.findId();
    return reader.json.peekToken() === -1 ? id : undefined;
  } catch (error) {
    if (error instanceof NotJsonError) return undefined;
    throw error;
  }
}

function hasInnerLineBreak(bytes: Buffer): boolean {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] as number) <= Byte.space) end -= 1;
  return hasBefore(bytes, Byte.lineFeed, end) || hasBefore(bytes, Byte.carriageReturn, end);
}

function hasBefore(bytes: Buffer, byte: number, end: number): boolean {
  const at = bytes.indexOf(byte);
  return at !== -1 && at < end;
}
