import type { AuditKey } from './key.js';
import { splitLine } from './record.js';

/** A record whose own hash is right; whether it fits its neighbours is the reader's question. */
export interface SealedRecord {
  readonly seq: number;
  readonly prev: string;
  readonly hash: string;
  readonly event: string;
  readonly reason: string | undefined;
  readonly lost: number;
}

export type ReadRecord =
  | { readonly ok: true; readonly record: SealedRecord }
  | { readonly ok: false; readonly seq: number | undefined };

/**
 * Reads one line of an audit file, without its line feed. Not ok when any byte of it is not as it was written under
 * this key; `seq` is then what the line claims.
 */
export function readRecord(line: Buffer, key: AuditKey): ReadRecord {
  const { seq, prev, event, reason, lost } = parseObject(line);
  const claimedSeq = typeof seq === 'number' ? seq : undefined;
  const parts = splitLine(line);
  const isRight = parts !== undefined && key.hashRecord(parts.canonical) === parts.hash;
  if (!isRight || claimedSeq === undefined || typeof prev !== 'string' || typeof event !== 'string') {
    return { ok: false, seq: claimedSeq };
  }
  const record = {
    seq: claimedSeq,
    prev,
    hash: parts.hash,
    event,
    reason: typeof reason === 'string' ? reason : undefined,
    lost: typeof lost === 'number' ? lost : 0,
  };
  return { ok: true, record };
}

/** The object that a line is JSON of; an empty one when it is of none. */
function parseObject(line: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
