/** What the log looks like and where it goes. */
import { z } from 'zod';
import { fileSchema } from './option-schemas.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface LoggingOptions {
  level: LogLevel;
  /** `auto` is `pretty` on a terminal and `json` elsewhere. */
  format: 'auto' | 'json' | 'pretty';
  /** Absolute path, or undefined for standard error. */
  file: string | undefined;
}

export const loggingSchema = z
  .strictObject({
    level: z
      .enum(['error', 'warn', 'info', 'debug'])
      .default('info')
      .describe('The least important level that is written.'),
    format: z
      .enum(['auto', 'json', 'pretty'])
      .default('auto')
      .describe('`json`: one object per line. `pretty`: for people. `auto`: pretty on a terminal, JSON elsewhere.'),
    file: fileSchema().nullable().default(null).describe('A file to append to; null writes to standard error.'),
  })
  .transform((keys): LoggingOptions => ({ ...keys, file: keys.file ?? undefined }))
  .prefault({})
  .describe('The log.');
