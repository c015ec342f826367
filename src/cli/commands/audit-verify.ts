/** `audit verify`: checks the hash chain of a trail, oldest file first, and names the first bad record. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { AuditKeyError } from '../../audit/errors.js';
import { AuditKey, auditKeyFile, readAuditKey } from '../../audit/key.js';
import { type AuditVerification, verifyAuditFiles } from '../../audit/verify.js';
import { escapeUnsafe } from '../../core/log-format.js';
import { EXIT, InputMissingError } from '../exit-codes.js';
import type { Io } from '../io.js';
import { requireFile } from '../require-file.js';

export interface AuditVerifyOptions {
  keyFile?: string;
}

const KEY_VARIABLE = 'MCP_GATEWAY_AUDIT_KEY';

/**
 * @param files of one chain, oldest first
 * @throws {InputMissingError} a file cannot be read, or there is no key, or its file is empty
 */
export async function auditVerify(files: readonly string[], options: AuditVerifyOptions, io: Io): Promise<number> {
  const paths = files.map((file) => requireFile(file, io.cwd));
  const key = await findKey(files, options, io);
  const verdict = await verifyAuditFiles(paths, key);
  const shown = new Map(paths.map((path, index) => [path, files[index] ?? path]));
  io.out(`${escapeUnsafe(verdict.ok ? good(verdict) : bad(verdict, shown))}\n`);
  return verdict.ok ? EXIT.ok : EXIT.no;
}

/** The flag, the environment, or the key that lies beside one of the files, the newest first. */
async function findKey(files: readonly string[], options: AuditVerifyOptions, io: Io): Promise<AuditKey> {
  if (options.keyFile !== undefined) return readKey(options.keyFile, io);
  const secret = io.env[KEY_VARIABLE];
  if (secret !== undefined && secret !== '') return new AuditKey(secret);
  const places = files.map(auditKeyFile).toReversed();
  const place = places.find((file) => existsSync(resolve(io.cwd, file)));
  if (place !== undefined) return readKey(place, io);
  throw new InputMissingError(`no key: give --key-file, set ${KEY_VARIABLE}, or put it into ${places.join(' or ')}`);
}

async function readKey(file: string, io: Io): Promise<AuditKey> {
  try {
    return await readAuditKey(requireFile(file, io.cwd));
  } catch (error) {
    if (error instanceof AuditKeyError) throw new InputMissingError(error.message, { cause: error });
    throw error;
  }
}

function good({ records, firstSeq, lastSeq, lost, tornBytes }: Extract<AuditVerification, { ok: true }>): string {
  if (records === 0) return 'ok: no records';
  const parts = [`ok: ${records} record(s), ${firstSeq} to ${lastSeq}`];
  if (firstSeq > 1) parts.push('earlier files of the chain were not given');
  if (lost > 0) parts.push(`the log says itself that it lost ${lost} event(s)`);
  if (tornBytes > 0) parts.push(`an unfinished line of ${tornBytes} byte(s) stands at the end`);
  return parts.join('; ');
}

function bad(
  { file, line, seq, problem }: Extract<AuditVerification, { ok: false }>,
  shown: ReadonlyMap<string, string>,
): string {
  return `${shown.get(file) ?? file}:${line}: ${seq === undefined ? '' : `record ${seq}: `}${problem}`;
}
