import { open, rename } from 'node:fs/promises';
import { CHAIN_START, type ChainEnd } from './chain.js';
import { readCheckpoint } from './checkpoint-copy.js';
import { CONTINUED, type GapReason } from './event.js';
import type { AuditKey } from './key.js';
import { readRecord } from './read-record.js';
import type { RecordFields } from './record.js';

/** Longer lines are never written. */
export const MAX_LINE_BYTES = 1024 * 1024;

const LINE_FEED = 0x0a;

/** Where the chain goes on, and what the first records have to say about how it was found. */
export interface ResumedChain {
  readonly end: ChainEnd;
  readonly openingRecords: readonly RecordFields[];
}

/** How the existing file ends. `foreign`: its last whole line is no record under this key, so nothing can join it. */
type FileEnd =
  | { readonly kind: 'empty'; readonly tornBytes: number }
  | { readonly kind: 'record'; readonly end: ChainEnd; readonly tornBytes: number }
  | { readonly kind: 'foreign' };

/**
 * Makes the file ready for the next record of its chain: cuts a torn last line off, and moves a file that cannot be
 * continued out of the way (`<file>.unverified-<time>`), since evidence is never overwritten.
 *
 * @param nowMs For the name of a file that is moved, in milliseconds since 1970.
 */
export async function resumeChain(file: string, key: AuditKey, nowMs: number): Promise<ResumedChain> {
  const fileEnd = await repairEnd(file, key);
  const copy = await readCheckpoint(file, key);
  const checkpoint = copy.kind === 'valid' ? copy.record : undefined;
  if (fileEnd.kind === 'record') {
    const opening = tornRecords(fileEnd.tornBytes);
    const lost = (checkpoint?.seq ?? 0) - fileEnd.end.seq;
    if (lost > 0) opening.push(gap('truncated', { lost }));
    return { end: fileEnd.end, openingRecords: opening };
  }
  // No records here: the file was rotated away, or never was. The copied checkpoint knows where its chain stood.
  const opening: RecordFields[] = [];
  if (checkpoint !== undefined) opening.push({ event: 'checkpoint', reason: CONTINUED, count: 0, keyId: key.id });
  if (fileEnd.kind === 'foreign') {
    await rename(file, `${file}.unverified-${nowMs}`);
    opening.push(gap('replaced'));
  } else {
    opening.push(...tornRecords(fileEnd.tornBytes));
  }
  return { end: checkpoint ?? CHAIN_START, openingRecords: opening };
}

function tornRecords(tornBytes: number): RecordFields[] {
  return tornBytes === 0 ? [] : [gap('torn_line', { tornBytes })];
}

function gap(reason: GapReason, facts: { lost?: number; tornBytes?: number } = {}): RecordFields {
  return { event: 'gap', reason, ...facts };
}

/** Looks at the last lines of the file, and cuts off what follows the last line feed. */
async function repairEnd(path: string, key: AuditKey): Promise<FileEnd> {
  const file = await openIfPresent(path);
  if (file === undefined) return { kind: 'empty', tornBytes: 0 };
  try {
    const { size } = await file.stat();
    // Room for a torn line behind the last whole one.
    const tail = Buffer.alloc(Math.min(size, 2 * MAX_LINE_BYTES));
    await file.read(tail, 0, tail.length, size - tail.length);
    const lineEnd = tail.lastIndexOf(LINE_FEED);
    const tornBytes = tail.length - lineEnd - 1;
    if (lineEnd === -1 && size > tail.length) return { kind: 'foreign' };
    const last = lineEnd === -1 ? undefined : readRecord(lastLine(tail, lineEnd), key);
    if (last?.ok === false) return { kind: 'foreign' };
    if (tornBytes > 0) await file.truncate(size - tornBytes);
    return last === undefined ? { kind: 'empty', tornBytes } : { kind: 'record', end: last.record, tornBytes };
  } finally {
    await file.close();
  }
}

function lastLine(tail: Buffer, lineEnd: number): Buffer {
  return tail.subarray(lineEnd === 0 ? 0 : tail.lastIndexOf(LINE_FEED, lineEnd - 1) + 1, lineEnd);
}

async function openIfPresent(path: string) {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
