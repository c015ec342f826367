import { expect, test } from 'vitest';
import { background } from '../../../src/core/background.js';
import type { LogFields, Logger } from '../../../src/core/logger.js';

class WarningLog implements Logger {
  readonly debugEnabled = false;
  readonly warnings: [string, LogFields | undefined][] = [];

  warn(event: string, _msg: string, fields?: LogFields): void {
    this.warnings.push([event, fields]);
  }

  error(): void {}

  info(): void {}

  debug(): void {}

  child(): Logger {
    return this;
  }
}

test('a failure is logged under its event and goes no further', async () => {
  const log = new WarningLog();
  background(Promise.reject(new Error('broken')), log, 'work_failed');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(log.warnings).toEqual([['work_failed', { reason: 'broken' }]]);
});

test('success is not worth a line', async () => {
  const log = new WarningLog();
  background(Promise.resolve('done'), log, 'work_failed');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(log.warnings).toEqual([]);
});
