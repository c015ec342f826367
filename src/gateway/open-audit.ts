import { dirname, parse } from 'node:path';
import { AuditLog } from '../audit/audit-log.js';
import { AuditFileError } from '../audit/errors.js';
import { FileClaim } from '../audit/file-claim.js';
import type { AuditOptions } from '../audit/options.js';
import { describeError } from '../core/errors.js';
import { makeFolder } from '../core/make-folder.js';
import type { Logger } from '../core/logger.js';

/**
 * Opens the audit trail; what happens to it is told to operators through the log.
 *
 * @throws {AuditFileError} its folder cannot be made, or the file cannot be opened, read or repaired
 * @throws {AuditKeyError} the key file can be neither read nor made
 */
export async function openAudit(options: AuditOptions, replica: string, logger: Logger): Promise<AuditLog> {
  // Before the claim, which lies in it too.
  await makeFolderOf(options.file);
  const { file, claim } = await claimFile(options.file, replica, logger);
  try {
    return await AuditLog.open(
      { ...options, file },
      {
        replica,
        onFailure: (error) =>
          logger.error('audit_failed', 'the audit trail cannot be written', { reason: error.message }),
        onRecovery: () => logger.info('audit_recovered', 'the audit trail is written again'),
        onClosed: () => claim?.release(),
      },
    );
  } catch (error) {
    await claim?.release();
    throw error;
  }
}

async function makeFolderOf(file: string): Promise<void> {
  try {
    await makeFolder(dirname(file), 0o700);
  } catch (error) {
    throw new AuditFileError(file, error);
  }
}

/** Several gateways may be given one file. One writes it, each other one a file of its own beside it: a chain has one writer. */
async function claimFile(file: string, replica: string, logger: Logger): Promise<{ file: string; claim?: FileClaim }> {
  try {
    const claim = await FileClaim.take(file);
    if (claim !== undefined) return { file, claim };
  } catch (error) {
    // What can be claimed by nobody can be written by nobody else; if the file cannot be written either, that is told when it is opened.
    logger.warn('audit_claim_failed', 'the audit file cannot be claimed for this process', {
      reason: describeError(error),
    });
    return { file };
  }
  const { dir, name, ext } = parse(file);
  const own = `${dir}/${name}-${replica}${ext}`;
  logger.warn('audit_file_in_use', 'another process writes the audit file; this one writes a file of its own', {
    file: own,
  });
  return { file: own };
}
