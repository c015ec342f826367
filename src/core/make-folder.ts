/**
 * Makes a folder, and those above it that are missing. Node's own `recursive: true` tries for ever where the system makes no folders
 * and does not say so, as below /proc.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * @param mode Of each folder that is made.
 * @throws {Error} it cannot be made (a system error with `code` and `path`)
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await isFolder(path)) return;
  const above = dirname(path);
  if (above !== path) await makeFolder(above, mode);
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // Somebody else may have been faster.
    if (!(await isFolder(path))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
