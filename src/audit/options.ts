import { z } from 'zod';

/** The `audit` part of gateway.yaml: schema, defaults and one line of documentation per key. */
export const auditOptions = z.strictObject({
  file: z
    .string()
    .min(1)
    .default('./audit/audit.jsonl')
    .describe('The audit trail, one JSON record per line; one file per replica. Created with mode 0600.'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe('Secret of the hash chain, 32 random bytes or more. Default: generated once into `<file>.key` (0600).'),
  mode: z
    .enum(['best-effort', 'strict'])
    .default('best-effort')
    .describe(
      'When the file cannot be written: `best-effort` serves on and records the gap, `strict` answers 503. ' +
        'Default `best-effort`.',
    ),
  arguments: z
    .enum(['hash', 'redact', 'none'])
    .default('hash')
    .describe(
      'What is kept of tool arguments: a keyed `hash`, a copy with secrets cut out (`redact`), or `none`. Default `hash`.',
    ),
});

export type AuditOptions = z.output<typeof auditOptions>;
