import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type LimitSubject, RateLimits } from '../../../src/rate-limit/limiter.js';
import { MemoryLimitStore } from '../../../src/rate-limit/memory-store.js';
import { rateLimitOptions } from '../../../src/rate-limit/options.js';
import type { LimitStore } from '../../../src/rate-limit/store.js';

const call: LimitSubject = {
  principal: 'idp|alice',
  tenant: 'acme',
  role: 'user',
  route: 'sumit',
  tool: 'post_sms_1',
  method: 'tools/call',
  ip: '192.0.2.1',
};

function limitsOf(
  limits: unknown[],
  store: LimitStore = new MemoryLimitStore(),
  replicas = 1,
  onStoreFailure = 'local',
) {
  const options = rateLimitOptions.parse({ onStoreFailure, limits });
  return new RateLimits(options, store, { store: new MemoryLimitStore(), replicas: () => replicas });
}

async function admitted(limits: RateLimits, subject: LimitSubject, attempts: number): Promise<number> {
  let count = 0;
  for (let i = 0; i < attempts; i += 1) if ((await limits.takeAll(subject, 'allowed')) === undefined) count += 1;
  return count;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('which limits are taken', () => {
  test('without limits there is nothing to wait for', () => {
    const limits = limitsOf([]);
    expect(limits.hasLimits).toBe(false);
    expect(limits.takeAll(call, 'allowed')).toBeUndefined();
  });

  test('each refusal is told by the name of the limit, whether the store had to be waited for, answered at once or failed', async () => {
    const options = rateLimitOptions.parse({ limits: [{ name: 'a', per: ['principal'], limit: '1/m' }] });
    const failing: LimitStore = { takeAll: () => Promise.reject(new Error('away')) };
    const memory = new MemoryLimitStore();
    const slow: LimitStore = { takeAll: async (takes) => memory.takeAll(takes) };
    for (const store of [new MemoryLimitStore(), slow, failing]) {
      const refused: string[] = [];
      const uncounted: string[] = [];
      const fallback = { store: new MemoryLimitStore(), replicas: () => 1 };
      const limits = new RateLimits(options, store, fallback, {
        limited: (limit) => refused.push(limit),
        decidedWithoutStore: (limit) => uncounted.push(limit),
      });
      expect(await admitted(limits, call, 3)).toBe(1);
      expect(refused).toEqual(['a', 'a']);
      expect(uncounted).toEqual(store === failing ? ['a', 'a', 'a'] : []);
    }
  });

  test('counting in memory makes nobody wait', () => {
    const limits = limitsOf([{ name: 'a', per: ['principal'], limit: '1/m' }]);
    expect(limits.takeAll(call, 'allowed')).toBeUndefined();
    expect(limits.takeAll(call, 'allowed')).toEqual({ limit: 'a', retryAfterMs: 60_000 });
  });

  test('burst adds to the calls of a window', async () => {
    const limits = limitsOf([{ name: 'a', per: ['principal'], limit: '3/m', burst: 2 }]);
    expect(limits.hasLimits).toBe(true);
    expect(await admitted(limits, call, 9)).toBe(5);
  });

  test('names the limit and the wait', async () => {
    const limits = limitsOf([{ name: 'per-caller', per: ['principal'], limit: '1/m' }]);
    await limits.takeAll(call, 'allowed');
    expect(await limits.takeAll(call, 'allowed')).toEqual({ limit: 'per-caller', retryAfterMs: 60_000 });
  });

  test.each([
    ['principal', { principal: 'idp|bob' }],
    ['tenant', { tenant: 'other' }],
    ['tenant', { tenant: undefined }],
    ['role', { role: 'admin' }],
    ['route', { route: 'company' }],
    ['tool', { tool: 'post_sms_2' }],
    ['method', { method: 'tools/list' }],
    ['ip', { ip: '192.0.2.2' }],
  ])('per %s counts %j apart, and nothing else', async (dimension, other) => {
    const limits = limitsOf([{ name: 'a', per: [dimension], limit: '1/m' }]);
    const everythingElse: LimitSubject = {
      principal: 'p',
      tenant: 't',
      role: 'r',
      route: 'ro',
      tool: 'to',
      method: 'm',
      ip: '::1',
      [dimension]: call[dimension as keyof LimitSubject],
    };
    expect(await admitted(limits, call, 1)).toBe(1);
    expect(await admitted(limits, everythingElse, 1)).toBe(0);
    expect(await admitted(limits, { ...call, ...other }, 2)).toBe(1);
  });

  test('callers without a tenant share one window, so leaving it out is no way around', async () => {
    const limits = limitsOf([{ name: 'a', per: ['tenant'], limit: '1/m' }]);
    expect(await admitted(limits, { ...call, tenant: undefined, principal: 'a' }, 1)).toBe(1);
    expect(await admitted(limits, { ...call, tenant: undefined, principal: 'b' }, 1)).toBe(0);
  });

  test('a limit per tool does not count requests without one', async () => {
    const limits = limitsOf([{ name: 'a', per: ['principal', 'tool'], limit: '1/m' }]);
    expect(limits.takeAll({ ...call, tool: undefined, method: 'tools/list' }, 'allowed')).toBeUndefined();
  });

  test.each([
    [{ route: 'sumit' }, { route: 'company' }],
    [{ tool: 'post_sms_*' }, { tool: 'get_sms' }],
    [{ tool: 'post_sms_*' }, { tool: undefined }],
    [{ method: 'tools/call' }, { method: 'tools/list' }],
    [{ role: 'user' }, { role: undefined }],
    [{ tenant: 'acme' }, { tenant: 'Acme' }],
    [{ route: 'sumit', tool: '*' }, { route: 'company' }],
  ])('match %j leaves %j alone', async (match, other) => {
    const limits = limitsOf([{ name: 'a', per: ['principal'], match, limit: '1/m' }]);
    expect(await admitted(limits, call, 3)).toBe(1);
    expect(limits.takeAll({ ...call, ...other }, 'allowed')).toBeUndefined();
  });

  test('new addresses inside one IPv6 network are no way around a limit per ip', async () => {
    const limits = limitsOf([{ name: 'a', per: ['ip'], limit: '1/m' }]);
    expect(await admitted(limits, { ...call, ip: '2001:db8::1' }, 1)).toBe(1);
    expect(await admitted(limits, { ...call, ip: '2001:db8::2' }, 1)).toBe(0);
  });
});

describe('denied requests', () => {
  test.each([
    ['principal', { per: ['principal'] }],
    ['tenant', { per: ['tenant'] }],
    ['ip', { per: ['ip'] }],
    ['route and method', { per: ['route', 'method'] }],
  ])('count against limits per %s', async (_what, limit) => {
    const limits = limitsOf([{ name: 'a', limit: '1/m', ...limit }]);
    expect(await limits.takeAll(call, 'request')).toBeUndefined();
    expect(await limits.takeAll(call, 'request')).toMatchObject({ limit: 'a' });
  });

  test.each([
    ['per tool', { per: ['tenant', 'tool'] }],
    ['per role', { per: ['role'] }],
    ['for a tool', { per: ['tenant'], match: { tool: 'post_*' } }],
    ['for a role', { per: ['tenant'], match: { role: 'user' } }],
  ])('cost nothing of limits %s', async (_what, limit) => {
    const limits = limitsOf([{ name: 'a', limit: '1/m', ...limit }]);
    expect(limits.takeAll(call, 'request')).toBeUndefined();
    expect(await admitted(limits, call, 3)).toBe(1);
  });

  test('an exceeded request limit is named before an exceeded tool limit, whatever their order', async () => {
    const limits = limitsOf([
      { name: 'tool', per: ['tool'], limit: '1/m' },
      { name: 'caller', per: ['principal'], limit: '1/m' },
    ]);
    await limits.takeAll(call, 'allowed');
    expect(await limits.takeAll(call, 'allowed')).toMatchObject({ limit: 'caller' });
  });
});

describe('limits of a policy', () => {
  const extra = { name: 'role user', rate: { calls: 1, windowMs: 60_000 }, scope: ['sumit', 'idp|alice'] };

  test('are taken for allowed calls alone', async () => {
    const limits = limitsOf([]);
    expect(limits.takeAll(call, 'request', [extra])).toBeUndefined();
    expect(await limits.takeAll(call, 'allowed', [extra])).toBeUndefined();
    expect(await limits.takeAll(call, 'allowed', [extra])).toEqual({ limit: 'role user', retryAfterMs: 60_000 });
    expect(await limits.takeAll(call, 'allowed', [{ ...extra, scope: ['sumit', 'idp|bob'] }])).toBeUndefined();
  });

  test('refused by one, a call gives back what it took of the configured ones', async () => {
    const limits = limitsOf([{ name: 'caller', per: ['principal'], limit: '3/m' }]);
    await limits.takeAll(call, 'allowed', [extra]);
    for (let i = 0; i < 5; i += 1) {
      expect(await limits.takeAll(call, 'allowed', [extra])).toMatchObject({ limit: 'role user' });
    }
    expect(await admitted(limits, call, 5)).toBe(2);
  });
});

describe('a store that fails', () => {
  const broken: LimitStore = { takeAll: () => Promise.reject(new Error('connection lost')) };
  const limit = { name: 'a', per: ['principal'], limit: '10/m' };

  test('by throwing is one that fails', async () => {
    const throwing: LimitStore = {
      takeAll: () => {
        throw new Error('not connected');
      },
    };
    expect(await admitted(limitsOf([limit], throwing, 2), call, 50)).toBe(5);
  });

  test('deny refuses', async () => {
    const limits = limitsOf([limit], broken, 1, 'deny');
    expect(await limits.takeAll(call, 'allowed')).toEqual({ limit: 'a', retryAfterMs: 1000 });
  });

  test('allow lets pass', async () => {
    expect(await admitted(limitsOf([limit], broken, 1, 'allow'), call, 50)).toBe(50);
  });

  test.each([
    [1, 10],
    [3, 3],
    [20, 0],
  ])('local admits the share of one of %i replicas: %i', async (replicas, share) => {
    expect(await admitted(limitsOf([limit], broken, replicas), call, 50)).toBe(share);
  });

  test('each limit has its own say, and policy limits follow the general one', async () => {
    const limits = limitsOf(
      [
        { ...limit, onStoreFailure: 'allow' },
        { ...limit, name: 'b', onStoreFailure: 'deny', match: { route: 'x' } },
      ],
      broken,
    );
    expect(await admitted(limits, call, 50)).toBe(50);
    expect(await limits.takeAll({ ...call, route: 'x' }, 'allowed')).toMatchObject({ limit: 'b' });
    const extra = { name: 'role user', rate: { calls: 1, windowMs: 1000 }, scope: [] };
    expect(await limits.takeAll(call, 'allowed', [extra])).toBeUndefined();
    expect(await limits.takeAll(call, 'allowed', [extra])).toMatchObject({ limit: 'role user' });
  });
});

describe('against a naive model', () => {
  /** One list of windows, one call after the other. */
  class NaiveLimits {
    #windows = new Map<string, { count: number; endsAtMs: number }>();
    take(dues: readonly [key: string, calls: number, windowMs: number][], nowMs: number): boolean {
      const live = dues.map(([key]) => {
        const window = this.#windows.get(key);
        return window !== undefined && window.endsAtMs > nowMs ? window : undefined;
      });
      if (dues.some(([, calls], index) => (live[index]?.count ?? 0) >= calls)) return false;
      for (const [index, [key, , windowMs]] of dues.entries()) {
        const window = live[index];
        if (window === undefined) this.#windows.set(key, { count: 1, endsAtMs: nowMs + windowMs });
        else window.count += 1;
      }
      return true;
    }
  }

  const subject = fc.record({
    principal: fc.constantFrom('a', 'b', 'c'),
    tenant: fc.constantFrom('x', 'y'),
    tool: fc.constantFrom('t', 'u'),
  });
  const step = fc.oneof(
    fc.record({ waitMs: fc.integer({ min: 1, max: 1500 }) }),
    fc.record({ calls: fc.array(fc.tuple(subject, fc.boolean()), { minLength: 1, maxLength: 25 }) }),
  );

  test('admits exactly the same calls, concurrent ones included', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const limits = limitsOf([
          { name: 'p', per: ['principal'], limit: '4/s', burst: 2 },
          { name: 't', per: ['tenant'], limit: '9/s' },
          { name: 'pt', per: ['principal', 'tool'], limit: '3/m' },
        ]);
        const model = new NaiveLimits();
        for (const each of steps) {
          if ('waitMs' in each) {
            vi.advanceTimersByTime(each.waitMs);
            continue;
          }
          const refusals = await Promise.all(
            each.calls.map(async ([who, isAllowed]) =>
              limits.takeAll({ ...call, ...who }, isAllowed ? 'allowed' : 'request'),
            ),
          );
          const expected = each.calls.map(([{ principal, tenant, tool }, isAllowed]) =>
            model.take(
              [
                [`p ${principal}`, 6, 1000],
                [`t ${tenant}`, 9, 1000],
                ...(isAllowed ? ([[`pt ${principal} ${tool}`, 3, 60_000]] as [string, number, number][]) : []),
              ],
              Date.now(),
            ),
          );
          expect(refusals.map((refusal) => refusal === undefined)).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });
});
