import { AuditLog } from '../audit/audit-log.js';
import type { AuditOptions } from '../audit/options.js';
import type { Logger } from '../core/logger.js';

/** Opens the audit trail; what happens to it is told to operators through the log. */
export function openAudit(options: AuditOptions, replica: string, logger: Logger): Promise<AuditLog> {
  return AuditLog.open(options, {
    replica,
    onFailure: (error) => logger.error('audit_failed', 'the audit trail cannot be written', { reason: error.message }),
    onRecovery: () => logger.info('audit_recovered', 'the audit trail is written again'),
  });
}
