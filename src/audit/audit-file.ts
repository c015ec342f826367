import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../core/make-folder.js';

/** A file that only grows. */
export interface AuditFile {
  /** Appends; may write less than it was given, as `write(2)` may. @returns bytes written */
  write(bytes: Uint8Array): Promise<number>;
  /** Returns once everything written is on disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export type OpenAuditFile = (path: string) => Promise<AuditFile>;

/** Opens or makes the file (0600), and the folder it lies in (0700). */
export const openAuditFile: OpenAuditFile = async (path) => {
  await makeFolder(dirname(path), 0o700);
  const handle = await open(path, 'a', 0o600);
  return {
    write: async (bytes) => (await handle.write(bytes)).bytesWritten,
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
};
