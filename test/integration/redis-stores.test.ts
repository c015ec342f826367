/** Limits, pins and verdicts in a real Redis. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MemoryPinStore } from '../../src/policy/tool-pins.js';
import { StoreAwayError } from '../../src/redis/errors.js';
import { RedisLimitStore } from '../../src/redis/limit-store.js';
import type { RedisLink } from '../../src/redis/link.js';
import { RedisPinStore } from '../../src/redis/pin-store.js';
import { UpstreamVerdicts } from '../../src/redis/verdicts.js';
import { admitted, describeLimitStore, take } from '../helpers/limit-store-contract.js';
import { describePinStore } from '../helpers/pin-store-contract.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { makeLink } from '../helpers/redis-link.js';
import { waitFor } from '../helpers/wait.js';

let redis: TestRedis;
const links: RedisLink[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
});
afterAll(() => redis.stop());

async function connected(): Promise<RedisLink> {
  const { link } = makeLink(redis.url);
  links.push(link);
  await link.connect();
  expect(link.isUp).toBe(true);
  return link;
}

async function emptyLink(): Promise<RedisLink> {
  await redis.cli('FLUSHALL');
  return connected();
}

/** Takes `ms` off the life of every key, which is what time does to it. */
async function passTime(link: RedisLink, ms: number): Promise<void> {
  const age = `for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
  end`;
  await link.run((commands) => commands.eval(age, 0, ms));
}

describeLimitStore('RedisLimitStore', async () => {
  const link = await emptyLink();
  return { store: new RedisLimitStore(link), passTime: (ms) => passTime(link, ms) };
});

describePinStore('RedisPinStore', async () => new RedisPinStore(await emptyLink(), new MemoryPinStore()));

describe('RedisLimitStore', () => {
  test('four replicas together admit exactly the limit, of one window and of two', async () => {
    await redis.cli('FLUSHALL');
    const stores = await Promise.all([1, 2, 3, 4].map(async () => new RedisLimitStore(await connected())));
    const one = [take('one', 'w', 137)];
    expect(await sum(stores.map((store) => admitted(store, one, 200)))).toBe(137);

    const groups = stores.map((_, index) => [take('shared', 's', 100), take('own', `o${index}`, 30 + index)]);
    expect(await sum(stores.map((store, index) => admitted(store, groups[index] ?? [], 200)))).toBe(100);
    const left = stores.map((store, index) => admitted(store, [take('own', `o${index}`, 30 + index)], 200));
    expect(await sum(left)).toBe(30 + 31 + 32 + 33 - 100);
  });

  test('a window ends by the time of Redis, and nothing of it stays', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    expect(await store.takeAll([take('a', 'k', 1, 50)])).toBeUndefined();
    await waitFor('the window to end', async () => (await redis.cli('DBSIZE')) === '0');
    expect(await store.takeAll([take('a', 'k', 1, 60_000)])).toBeUndefined();
    expect(await store.takeAll([take('a', 'k', 1, 60_000)])).toMatchObject({ index: 0 });
  });

  test('a refused call leaves no trace', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    await store.takeAll([take('full', 'f', 1)]);
    await store.takeAll([take('new', 'n', 1), take('full', 'f', 1), take('late', 'l', 1)]);
    expect(await redis.cli('KEYS', '*')).toBe(link.keys.limit('f'));
    expect(await redis.cli('GET', link.keys.limit('f'))).toBe('1');
  });

  test.each([
    ['of another type', ['RPUSH', 'KEY', 'x']],
    ['that is no number', ['SET', 'KEY', 'many']],
    ['that is below zero', ['SET', 'KEY', '-5']],
    ['that is no whole number', ['SET', 'KEY', '0.5']],
    ['that is empty', ['SET', 'KEY', '']],
    ['past all numbers', ['SET', 'KEY', '99999999999999999999999999']],
  ])('a value %s never admits, and takes nothing elsewhere', async (_name, command) => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    await redis.cli(...command.map((word) => (word === 'KEY' ? link.keys.limit('bad') : word)));
    const verdict = await store.takeAll([take('good', 'g', 5), take('bad', 'bad', 5)]).then(
      (exceeded) => exceeded?.index,
      (error: Error) => error.name,
    );
    expect([1, 'ReplyError']).toContain(verdict);
    expect(await redis.cli('EXISTS', link.keys.limit('g'))).toBe('0');
    expect(link.isUp).toBe(true);
    expect(await admitted(store, [take('good', 'g', 5)], 9)).toBe(5);
  });

  test('calls of one turn are counted in one script, each for itself and in turn', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    await redis.cli('SET', link.keys.limit('bad'), 'many');
    await redis.cli('CONFIG', 'RESETSTAT');
    const calls = [
      [take('a', 'a', 2), take('b', 'b', 9)],
      [take('b', 'b', 9), take('bad', 'bad', 9)],
      [take('a', 'a', 2), take('a', 'a', 2)],
      [take('b', 'b', 9), take('a', 'a', 2)],
      [take('b', 'b', 9), take('a', 'a', 2)],
      // The limit was raised meanwhile.
      [take('a', 'a', 3)],
    ];
    const verdicts = await Promise.all(
      calls.map((takes) =>
        store.takeAll(takes).then(
          (exceeded) => exceeded?.index ?? 'admitted',
          (error: Error) => error.name,
        ),
      ),
    );
    expect(verdicts).toEqual(['admitted', 'ReplyError', 1, 'admitted', 1, 'admitted']);
    expect(await redis.cli('MGET', link.keys.limit('a'), link.keys.limit('b'))).toBe('3\n2');
    expect(await redis.cli('INFO', 'commandstats')).toMatch(/cmdstat_evalsha:calls=1,/);
    for (const key of ['a', 'b']) expect(Number(await redis.cli('PTTL', link.keys.limit(key)))).toBeGreaterThan(0);
  });

  test('all calls of one turn are told when Redis does not answer', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    redis.pause();
    try {
      const calls = [1, 2, 3].map(() => store.takeAll([take('a', 'a', 2)]));
      await Promise.all(calls.map((call) => expect(call).rejects.toThrow(StoreAwayError)));
    } finally {
      redis.resume();
    }
  });

  test('a full window without an end is given one', async () => {
    const link = await emptyLink();
    await redis.cli('SET', link.keys.limit('k'), '7');
    const store = new RedisLimitStore(link);
    expect(await store.takeAll([take('a', 'k', 5)])).toEqual({ index: 0, retryAfterMs: 60_000 });
    expect(Number(await redis.cli('PTTL', link.keys.limit('k')))).toBeGreaterThan(0);
  });

  test('counts on when the server forgot its scripts, and from nothing when it forgot everything', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    expect(await admitted(store, [take('a', 'k', 3)], 2)).toBe(2);
    await redis.cli('SCRIPT', 'FLUSH');
    expect(await admitted(store, [take('a', 'k', 3)], 20)).toBe(1);
    await redis.cli('FLUSHALL');
    expect(await admitted(store, [take('a', 'k', 3)], 20)).toBe(3);
  });

  test('a server out of memory refuses the call and is not away', async () => {
    const link = await emptyLink();
    const store = new RedisLimitStore(link);
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    try {
      await expect(store.takeAll([take('a', 'k', 3)])).rejects.toThrow(/OOM/);
      expect(link.isUp).toBe(true);
    } finally {
      await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    }
    expect(await store.takeAll([take('a', 'k', 3)])).toBeUndefined();
  });
});

describe('RedisPinStore', () => {
  test('replicas see the same pins', async () => {
    const here = new RedisPinStore(await emptyLink(), new MemoryPinStore());
    const there = new RedisPinStore(await connected(), new MemoryPinStore());
    await here.pinNew('r', [{ name: 'a', digest: '1' }]);
    expect((await there.pinNew('r', [{ name: 'a', digest: '2' }])).get('a')).toBe('1');
    await there.replace('r', 'a', '2');
    expect((await here.pinNew('r', [{ name: 'a', digest: '1' }])).get('a')).toBe('2');
  });

  test('while Redis is away it knows what was seen here, approves nothing, and writes what is new when it is back', async () => {
    const link = await emptyLink();
    const store = new RedisPinStore(link, new MemoryPinStore());
    await store.pinNew('r', [{ name: 'seen', digest: '1' }]);
    await redis.kill();
    await waitFor('the link to notice', () => !link.isUp);

    const tools = ['seen', 'new'].map((name) => ({ name, digest: '2' }));
    expect([...(await store.pinNew('r', tools))]).toEqual([
      ['seen', '1'],
      ['new', '2'],
    ]);
    await expect(store.replace('r', 'seen', '2')).rejects.toThrow(StoreAwayError);

    await redis.restart();
    await waitFor('the pins to be written', async () => (await redis.cli('HLEN', link.keys.pins('r'))) === '2');
    expect(await redis.cli('HGET', link.keys.pins('r'), 'seen')).toBe('1');
    expect(await redis.cli('HGET', link.keys.pins('r'), 'new')).toBe('2');
  });

  test('what another replica pinned while this one was cut off is not overwritten', async () => {
    const store = await emptyLink();
    const pins = new RedisPinStore(store, new MemoryPinStore());
    redis.pause();
    const seen = await pins.pinNew('r', [{ name: 'a', digest: 'mine' }]);
    expect(seen.get('a')).toBe('mine');
    redis.resume();
    await waitFor('the link to be back', () => store.isUp);
    await redis.cli('HSET', store.keys.pins('r'), 'a', 'theirs');
    redis.pause();
    await pins.pinNew('r', [{ name: 'a', digest: 'mine' }]);
    redis.resume();
    await waitFor('the link to be back', () => store.isUp);
    expect((await pins.pinNew('r', [{ name: 'a', digest: 'mine' }])).get('a')).toBe('theirs');
    expect(await redis.cli('HGET', store.keys.pins('r'), 'a')).toBe('theirs');
  });

  test('a value that is no set of pins trusts nothing', async () => {
    const link = await emptyLink();
    await redis.cli('SET', link.keys.pins('r'), 'x');
    const store = new RedisPinStore(link, new MemoryPinStore());
    await expect(store.pinNew('r', [{ name: 'a', digest: '1' }])).rejects.toThrow(/WRONGTYPE/);
    expect(link.isUp).toBe(true);
  });
});

describe('UpstreamVerdicts', () => {
  test('tells another replica what one found out, for five minutes', async () => {
    const link = await emptyLink();
    const here = new UpstreamVerdicts(link);
    const there = new UpstreamVerdicts(await connected());
    expect(await there.recall('r')).toEqual({});
    here.remember('r', { kind: 'sse' });
    here.remember('r', { isModern: false });
    here.remember('other', { isModern: true });
    await waitFor('both facts', async () => Object.keys(await there.recall('r')).length === 2);
    expect(await there.recall('r')).toEqual({ kind: 'sse', isModern: false });
    expect(await there.recall('other')).toEqual({ isModern: true });
    const leftMs = Number(await redis.cli('PTTL', link.keys.verdicts('r')));
    expect(leftMs).toBeGreaterThan(280_000);
    expect(leftMs).toBeLessThanOrEqual(300_000);
    await passTime(link, 300_000);
    expect(await there.recall('r')).toEqual({});
  });

  test('knows nothing, without an error, when what is stored is something else or Redis is away', async () => {
    const link = await emptyLink();
    const verdicts = new UpstreamVerdicts(link);
    await redis.cli('SET', link.keys.verdicts('r'), 'x');
    verdicts.remember('r', { kind: 'sse' });
    expect(await verdicts.recall('r')).toEqual({});
    await link.close();
    verdicts.remember('r', { kind: 'sse' });
    expect(await verdicts.recall('r')).toEqual({});
  });
});

async function sum(numbers: readonly Promise<number>[]): Promise<number> {
  return (await Promise.all(numbers)).reduce((total, each) => total + each, 0);
}
