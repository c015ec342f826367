import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FallbackLimitStore } from '../../../src/rate-limit/fallback-store.js';
import { MemoryLimitStore } from '../../../src/rate-limit/memory-store.js';
import type { LimitStore, Take } from '../../../src/rate-limit/store.js';

const take = (limit: string, key: string, calls: number, windowMs = 60_000): Take => ({ limit, key, calls, windowMs });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function admitted(store: LimitStore, group: Take[], attempts: number): Promise<number> {
  const results = await Promise.all(Array.from({ length: attempts }, async () => store.takeAll(group)));
  return results.filter((result) => result === undefined).length;
}

describe.each([
  { name: 'MemoryLimitStore', Store: MemoryLimitStore, timersFor: (windows: number) => Math.min(windows, 1) },
  { name: 'FallbackLimitStore', Store: FallbackLimitStore, timersFor: (windows: number) => windows },
])('$name', ({ Store, timersFor }) => {
  test('admits exactly the limit in a window, and again in the next', async () => {
    const store = new Store();
    expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(5);
    vi.advanceTimersByTime(59_999);
    expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(0);
    vi.advanceTimersByTime(1);
    expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(5);
  });

  test('the window opens with its first call, not at a full minute', async () => {
    vi.setSystemTime(59_000);
    const store = new Store();
    expect(await admitted(store, [take('a', 'k', 1)], 1)).toBe(1);
    vi.advanceTimersByTime(30_000);
    expect(await admitted(store, [take('a', 'k', 1)], 1)).toBe(0);
  });

  test('says when the window ends', async () => {
    const store = new Store();
    await store.takeAll([take('a', 'k', 1)]);
    vi.advanceTimersByTime(12_345);
    expect(await store.takeAll([take('a', 'k', 1)])).toEqual({ index: 0, retryAfterMs: 47_655 });
  });

  test('a refusal costs nothing, neither in the full window nor in those before it', async () => {
    const store = new Store();
    await store.takeAll([take('full', 'f', 1)]);
    expect(await store.takeAll([take('wide', 'w', 3), take('full', 'f', 1)])).toMatchObject({ index: 1 });
    expect(await admitted(store, [take('wide', 'w', 3)], 5)).toBe(3);
    vi.advanceTimersByTime(60_000);
    expect(await admitted(store, [take('full', 'f', 1)], 2)).toBe(1);
  });

  test('a refused call does not open a window', async () => {
    const store = new Store();
    await store.takeAll([take('full', 'f', 1, 3_600_000)]);
    await store.takeAll([take('wide', 'w', 1), take('full', 'f', 1, 3_600_000)]);
    vi.advanceTimersByTime(30_000);
    await store.takeAll([take('wide', 'w', 1)]);
    expect(await store.takeAll([take('wide', 'w', 1)])).toEqual({ index: 0, retryAfterMs: 60_000 });
  });

  test('a refused call never makes a concurrent one be refused', async () => {
    const store = new Store();
    await store.takeAll([take('own', 'alice', 1)]);
    const [alice, bob] = await Promise.all(
      ['alice', 'bob'].map(async (who) => store.takeAll([take('shared', 's', 1), take('own', who, 1)])),
    );
    expect([alice?.index, bob]).toEqual([1, undefined]);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'a window that ends before the give-back gets no credit (%i turns in)',
    async (turns) => {
      const store = new Store();
      const short = take('short', 's', 2, 1000);
      await store.takeAll([short]);
      await store.takeAll([take('full', 'f', 1)]);
      const refused = store.takeAll([short, take('full', 'f', 1)]);
      // Moves the clock past the end of the short window, somewhere between its take and the give-back, without running timers.
      for (let i = 0; i < turns; i += 1) await Promise.resolve();
      vi.setSystemTime(Date.now() + 1000);
      expect(await refused).toMatchObject({ index: 1 });
      expect(await admitted(store, [short], 5)).toBe(2);
    },
  );

  test('refused calls do not count when the limit is raised inside the window', async () => {
    const store = new Store();
    expect(await admitted(store, [take('a', 'k', 1)], 10)).toBe(1);
    expect(await admitted(store, [take('a', 'k', 3)], 10)).toBe(2);
  });

  test('keys named like members of objects are keys like any other', async () => {
    const store = new Store();
    for (const key of ['__proto__', 'constructor', 'toString']) {
      expect(await admitted(store, [take('a', key, 2)], 4)).toBe(2);
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('forgets windows that ended', async () => {
    const store = new Store();
    for (let i = 0; i < 1000; i += 1) await store.takeAll([take('a', `k${i}`, 1, 1000)]);
    expect(store.size).toBe(1000);
    expect(vi.getTimerCount()).toBe(timersFor(1000));
    vi.advanceTimersByTime(1001);
    await store.takeAll([take('a', 'one more', 1, 1000)]);
    expect(store.size).toBe(1);
    expect(vi.getTimerCount()).toBe(timersFor(1));
  });

  test('keeps a bounded number of windows per limit; a flood on one limit leaves the others alone', async () => {
    const store = new Store(100);
    await store.takeAll([take('per-caller', 'alice', 1)]);
    for (let i = 0; i < 1000; i += 1) await store.takeAll([take('per-ip', `ip${i}`, 1)]);
    expect(store.size).toBe(101);
    expect(vi.getTimerCount()).toBe(timersFor(101));
    expect(await store.takeAll([take('per-caller', 'alice', 1)])).toMatchObject({ index: 0 });
    expect(await store.takeAll([take('per-ip', 'ip999', 1)])).toMatchObject({ index: 0 });
  });
});

describe('MemoryLimitStore', () => {
  test('answers at once', () => {
    const store = new MemoryLimitStore();
    expect(store.takeAll([take('a', 'k', 1)])).toBeUndefined();
    expect(store.takeAll([take('a', 'k', 1)])).toEqual({ index: 0, retryAfterMs: 60_000 });
  });

  test('one window taken twice by one call counts twice, and both are given back', () => {
    const store = new MemoryLimitStore();
    const twice = take('a', 'k', 3);
    expect(store.takeAll([twice, twice])).toBeUndefined();
    expect(store.takeAll([twice, twice])).toMatchObject({ index: 1 });
    expect(store.takeAll([twice])).toBeUndefined();
    expect(store.takeAll([twice])).toMatchObject({ index: 0 });
  });

  test('a window that admits nothing refuses and is not opened', () => {
    const store = new MemoryLimitStore();
    expect(store.takeAll([take('a', 'k', 0)])).toEqual({ index: 0, retryAfterMs: 60_000 });
    expect([store.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  test('what ended leaves memory when nothing comes any more', () => {
    const store = new MemoryLimitStore();
    store.takeAll([take('short', 's', 1, 1000), take('long', 'l', 1, 100_000)]);
    vi.advanceTimersByTime(60_000);
    expect(store.size).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect([store.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
