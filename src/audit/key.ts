import { createHmac, randomBytes } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../core/make-folder.js';
import { AuditKeyError } from './errors.js';
import { KeyedHash } from '../core/keyed-hash.js';

/** The secret of an audit trail, and the keyed hashes made with it. */
export class AuditKey {
  /** Tells keys apart without giving anything away; checkpoints carry it. */
  readonly id: string;
  readonly #chain: KeyedHash;
  readonly #arguments: KeyedHash;

  /** @param text The secret as configured, used as its UTF-8 bytes. */
  constructor(text: string) {
    const secret = Buffer.from(text);
    const derive = (purpose: string): Buffer => createHmac('sha256', secret).update(purpose).digest();
    this.#chain = new KeyedHash(secret);
    this.id = derive('mcp-gateway audit key id').toString('hex', 0, 8);
    // A key of its own: no argument can be chosen so that its hash is that of a record.
    this.#arguments = new KeyedHash(derive('mcp-gateway audit arguments'));
  }

  /** HMAC-SHA-256 of a record's canonical text, in hex. */
  hashRecord(canonical: string | Uint8Array): string {
    return this.#chain.hex(canonical);
  }

  /** HMAC-SHA-256 of argument bytes under a key derived from the secret, in hex: equal for equal bytes. */
  hashArguments(bytes: Uint8Array): string {
    return this.#arguments.hex(bytes);
  }
}

/** Where the key of an audit file lies when none is configured. */
export function auditKeyFile(auditFile: string): string {
  return `${auditFile}.key`;
}

/**
 * Reads a key file: its text without white space around it.
 *
 * @throws {AuditKeyError} the file cannot be read or is empty
 */
export async function readAuditKey(path: string): Promise<AuditKey> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new AuditKeyError(path, 'cannot be read', { cause: error });
  }
  if (text === '') throw new AuditKeyError(path, 'is empty');
  return new AuditKey(text);
}

/**
 * Reads the key file, or makes one of 32 random bytes in hex (mode 0600) when there is none. Several processes may do
 * so at once and end with the same key.
 *
 * @throws {AuditKeyError} the file can be neither read nor made
 */
export async function readOrCreateAuditKey(path: string): Promise<AuditKey> {
  try {
    return await readAuditKey(path);
  } catch (error) {
    if (!(error instanceof AuditKeyError) || !isMissing(error.cause)) throw error;
  }
  try {
    await createKeyFile(path);
  } catch (error) {
    throw new AuditKeyError(path, 'cannot be made', { cause: error });
  }
  return readAuditKey(path);
}

async function createKeyFile(path: string): Promise<void> {
  await makeFolder(dirname(path), 0o700);
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${randomBytes(32).toString('hex')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link appears whole or not at all, and never replaces the key that another process made meanwhile.
    await link(temporary, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
