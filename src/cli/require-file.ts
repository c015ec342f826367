/** Says early and in one way that a file named on the command line cannot be read. */
import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { InputMissingError } from './exit-codes.js';

/**
 * @returns the absolute path
 * @throws {InputMissingError} there is no file of that name, or it may not be read
 */
export function requireFile(file: string, cwd: string): string {
  const path = resolve(cwd, file);
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new InputMissingError(`cannot read ${file}: ${isMissing ? 'no such file' : 'permission denied'}`);
  }
  if (!statSync(path).isFile()) throw new InputMissingError(`cannot read ${file}: it is no file`);
  return path;
}
