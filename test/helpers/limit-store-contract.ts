/** What every LimitStore has to do, told to whichever is opened. */
import { describe, expect, test } from 'vitest';
import type { LimitStore, Take } from '../../src/rate-limit/store.js';

export interface OpenedLimitStore {
  readonly store: LimitStore;
  /** Lets windows age, without waiting for it. */
  readonly passTime: (ms: number) => void | Promise<void>;
}

/** What real time may pass unnoticed in one case. */
const SLACK_MS = 5000;

export function take(limit: string, key: string, calls: number, windowMs = 60_000): Take {
  return { limit, key, calls, windowMs };
}

/** How many of `attempts` calls made at once are admitted. */
export async function admitted(store: LimitStore, group: readonly Take[], attempts: number): Promise<number> {
  const results = await Promise.all(Array.from({ length: attempts }, async () => store.takeAll(group)));
  return results.filter((result) => result === undefined).length;
}

/** @param open gives a store without any window */
export function describeLimitStore(name: string, open: () => OpenedLimitStore | Promise<OpenedLimitStore>): void {
  describe(`${name} as a LimitStore`, () => {
    test('admits exactly the limit in a window, and again in the next', async () => {
      const { store, passTime } = await open();
      expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(5);
      await passTime(60_000 - SLACK_MS);
      expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(0);
      await passTime(SLACK_MS);
      expect(await admitted(store, [take('a', 'k', 5)], 12)).toBe(5);
    });

    test('says which window is full and when it ends', async () => {
      const { store, passTime } = await open();
      await store.takeAll([take('a', 'k', 1)]);
      await passTime(12_345);
      const exceeded = await store.takeAll([take('b', 'other', 1), take('a', 'k', 1)]);
      expect(exceeded?.index).toBe(1);
      expect(exceeded?.retryAfterMs).toBeLessThanOrEqual(47_655);
      expect(exceeded?.retryAfterMs).toBeGreaterThan(47_655 - SLACK_MS);
    });

    test('the first full window in the order given is the one named', async () => {
      const { store } = await open();
      await store.takeAll([take('a', 'a', 1), take('b', 'b', 1)]);
      expect(await store.takeAll([take('b', 'b', 1), take('a', 'a', 1)])).toMatchObject({ index: 0 });
    });

    test('a refusal costs nothing, neither in the full window nor in those before and after it', async () => {
      const { store, passTime } = await open();
      await store.takeAll([take('full', 'f', 1)]);
      const group = [take('wide', 'w', 3), take('full', 'f', 1), take('late', 'l', 2)];
      expect(await admitted(store, group, 20)).toBe(0);
      expect(await admitted(store, [take('wide', 'w', 3)], 5)).toBe(3);
      expect(await admitted(store, [take('late', 'l', 2)], 5)).toBe(2);
      await passTime(60_000);
      expect(await admitted(store, [take('full', 'f', 1)], 2)).toBe(1);
    });

    test('a refused call does not open a window', async () => {
      const { store, passTime } = await open();
      await store.takeAll([take('full', 'f', 1, 3_600_000)]);
      await store.takeAll([take('wide', 'w', 1), take('full', 'f', 1, 3_600_000)]);
      await passTime(30_000);
      await store.takeAll([take('wide', 'w', 1)]);
      const exceeded = await store.takeAll([take('wide', 'w', 1)]);
      expect(exceeded?.retryAfterMs).toBeGreaterThan(60_000 - SLACK_MS);
    });

    test('a refused call never makes a concurrent one be refused', async () => {
      const { store } = await open();
      await store.takeAll([take('own', 'alice', 1)]);
      const [alice, bob] = await Promise.all([
        store.takeAll([take('shared', 's', 1), take('own', 'alice', 1)]),
        store.takeAll([take('shared', 's', 1), take('own', 'bob', 1)]),
      ]);
      expect([alice?.index, bob]).toEqual([1, undefined]);
    });

    test('refused calls do not count when the limit is raised inside the window', async () => {
      const { store } = await open();
      expect(await admitted(store, [take('a', 'k', 1)], 10)).toBe(1);
      expect(await admitted(store, [take('a', 'k', 3)], 10)).toBe(2);
    });

    test('one window named twice is counted twice', async () => {
      const { store } = await open();
      const twice = [take('a', 'k', 3), take('a', 'k', 3)];
      expect(await store.takeAll(twice)).toBeUndefined();
      expect(await store.takeAll(twice)).toMatchObject({ index: 1 });
      expect(await admitted(store, [take('a', 'k', 3)], 5)).toBe(1);
    });

    test('a window that admits nothing is full from the start, and stays closed', async () => {
      const { store } = await open();
      const exceeded = await store.takeAll([take('a', 'k', 0)]);
      expect(exceeded).toMatchObject({ index: 0 });
      expect(exceeded?.retryAfterMs).toBeGreaterThan(0);
      expect(await admitted(store, [take('a', 'k', 2)], 5)).toBe(2);
    });

    test('no windows, no limit', async () => {
      const { store } = await open();
      expect(await store.takeAll([])).toBeUndefined();
    });

    test('keys named like members of objects are keys like any other', async () => {
      const { store } = await open();
      for (const key of ['__proto__', 'constructor', 'toString', '{x}', 'a b\r\n']) {
        expect(await admitted(store, [take('a', key, 2)], 4)).toBe(2);
      }
      expect(Object.keys(Object.prototype)).toEqual([]);
    });
  });
}
