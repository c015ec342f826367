import { describe, expect, test } from 'vitest';

import { FailureLimiter } from '../../../src/auth/failure-limiter.js';
import { FakeClock } from './harness.js';

function fail(limiter: FailureLimiter, ip: string, times: number): void {
  for (let count = 0; count < times; count += 1) limiter.recordFailure(ip);
}

describe('an address', () => {
  test('is blocked for a minute by its twentieth failure', () => {
    const clock = new FakeClock();
    const limiter = new FailureLimiter(clock);
    fail(limiter, '198.51.100.1', 19);
    expect(limiter.retryAfterMs('198.51.100.1')).toBe(0);
    fail(limiter, '198.51.100.1', 1);
    expect(limiter.retryAfterMs('198.51.100.1')).toBe(60_000);
    clock.advance(59_999);
    expect(limiter.retryAfterMs('198.51.100.1')).toBe(1);
    clock.advance(1);
    expect(limiter.retryAfterMs('198.51.100.1')).toBe(0);
  });

  test('that fails rarely is never blocked', () => {
    const clock = new FakeClock();
    const limiter = new FailureLimiter(clock);
    for (let minute = 0; minute < 10; minute += 1) {
      fail(limiter, '198.51.100.1', 19);
      expect(limiter.retryAfterMs('198.51.100.1')).toBe(0);
      clock.advance(60_000);
    }
  });

  test('stays blocked when its window ends, also by failures that were under way', () => {
    const clock = new FakeClock();
    const limiter = new FailureLimiter(clock);
    fail(limiter, '198.51.100.1', 1);
    clock.advance(59_000);
    fail(limiter, '198.51.100.1', 19);
    clock.advance(2000);
    fail(limiter, '198.51.100.1', 1);
    expect(limiter.retryAfterMs('198.51.100.1')).toBe(58_000);
  });

  test.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['2001:DB8:0001:2::1', '2001:db8:1:2:0:0:0:5', true],
    ['2001:db8::1', '2001:db8:0:0:9::', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['::1', '::2', true],
    ['::ffff:198.51.100.1', '198.51.100.1', true],
    ['::FFFF:198.51.100.1', '::ffff:198.51.100.2', false],
    ['198.51.100.1', '198.51.100.2', false],
    ['__proto__', 'constructor', false],
  ])('%s and %s count together: %s', (one, other, together) => {
    const limiter = new FailureLimiter(new FakeClock());
    fail(limiter, one, 20);
    expect(limiter.retryAfterMs(one)).toBe(60_000);
    expect(limiter.retryAfterMs(other)).toBe(together ? 60_000 : 0);
  });
});

test('a hundred thousand addresses take the room of ten thousand', () => {
  const limiter = new FailureLimiter(new FakeClock());
  for (let index = 0; index < 100_000; index += 1)
    limiter.recordFailure(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
  expect(limiter.size).toBe(10_000);
});

test('without an address nothing is counted', () => {
  const limiter = new FailureLimiter(new FakeClock());
  for (let count = 0; count < 30; count += 1) limiter.recordFailure(undefined);
  expect(limiter.retryAfterMs(undefined)).toBe(0);
  expect(limiter.size).toBe(0);
});
