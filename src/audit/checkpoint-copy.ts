import { open, readFile, rename } from 'node:fs/promises';
import type { AuditKey } from './key.js';
import { readRecord, type SealedRecord } from './read-record.js';

/**
 * The newest checkpoint of an audit file, kept beside it as `<file>.checkpoint`: the line as it stands in the file.
 * It is what shows that records were cut off the end; a file cannot show that by itself.
 */
export function checkpointFile(auditFile: string): string {
  return `${auditFile}.checkpoint`;
}

/** Replaces the copy in one step, so that a reader sees the old one or the new one. */
export async function saveCheckpoint(auditFile: string, line: string): Promise<void> {
  const path = checkpointFile(auditFile);
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(line);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

export type CheckpointCopy =
  | { readonly kind: 'none' }
  | { readonly kind: 'valid'; readonly record: SealedRecord }
  /** Not written under this key, or changed since. */
  | { readonly kind: 'invalid'; readonly seq: number | undefined };

export async function readCheckpoint(auditFile: string, key: AuditKey): Promise<CheckpointCopy> {
  let bytes: Buffer;
  try {
    bytes = await readFile(checkpointFile(auditFile));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'none' };
    throw error;
  }
  return parseCheckpoint(bytes, key);
}

/** @param bytes The line of a checkpoint, with or without its line feed. */
export function parseCheckpoint(bytes: Buffer, key: AuditKey): CheckpointCopy {
  const line = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  const read = readRecord(line, key);
  if (!read.ok) return { kind: 'invalid', seq: read.seq };
  return read.record.event === 'checkpoint'
    ? { kind: 'valid', record: read.record }
    : { kind: 'invalid', seq: read.record.seq };
}
