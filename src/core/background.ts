import { describeError } from './errors.js';
import type { Logger } from './logger.js';

/** For work nobody awaits: a failure is logged instead of becoming an unhandled rejection. */
export function background(work: Promise<unknown>, logger: Logger, event: string): void {
  work.catch((error: unknown) => logger.warn(event, 'background work failed', { reason: describeError(error) }));
}
