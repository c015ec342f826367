/** The connection to a real Redis: what callers see while it hangs, dies, comes back or refuses. */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.js';
import { StoreAwayError } from '../../src/redis/errors.js';
import type { RedisLink } from '../../src/redis/link.js';
import { Script } from '../../src/redis/script.js';
import { freePort } from '../helpers/free-port.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { makeLink, type TestLink } from '../helpers/redis-link.js';
import { delay, waitFor, within } from '../helpers/wait.js';

/** Room for a machine that does other things too. */
const NOISE_MS = 50;

let redis: TestRedis;
const links: RedisLink[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  redis.resume();
  await Promise.all(links.splice(0).map((link) => link.close()));
});
afterAll(() => redis.stop());

function open(url = redis.url): TestLink {
  const opened = makeLink(url);
  links.push(opened.link);
  return opened;
}

async function connected(url = redis.url): Promise<TestLink> {
  const opened = open(url);
  await opened.link.connect();
  expect(opened.link.isUp).toBe(true);
  return opened;
}

/** 100 ms as long as they take on this machine now: timers come late when it does other things. */
async function hundredMs(): Promise<number> {
  const startedMs = performance.now();
  for (let step = 0; step < 5; step += 1) await delay(20);
  return performance.now() - startedMs;
}

/** Settles before anything else can happen. */
async function atOnce(work: () => Promise<unknown>): Promise<unknown> {
  const late = new Promise((resolve) => {
    setImmediate(resolve, 'not at once');
  });
  return Promise.race([work().catch((error: unknown) => error), late]);
}

async function timed(work: () => Promise<unknown>): Promise<{ outcome: unknown; ms: number }> {
  const startedMs = performance.now();
  const outcome = await work().catch((error: unknown) => error);
  return { outcome, ms: performance.now() - startedMs };
}

const ping = (link: RedisLink) => () => link.run((commands) => commands.ping());

describe('when Redis dies', () => {
  test('commands on their way fail at once, and a new server is found by itself', async () => {
    const { link, events } = await connected();
    const heard: string[] = [];
    const stop = link.listen({ up: () => heard.push('up'), down: () => heard.push('down') });
    link.listen({
      down: () => {
        throw new Error('a listener of bad manners');
      },
    });
    const blocked = timed(() => link.run((commands) => commands.blpop('nothing', 0)));
    await redis.kill();
    expect((await blocked).outcome).toBeInstanceOf(StoreAwayError);
    await waitFor('the link to notice', () => !link.isUp);
    expect(await atOnce(ping(link))).toBeInstanceOf(StoreAwayError);
    await redis.restart();
    await waitFor('the link to be back', () => link.isUp);
    expect(await link.run((commands) => commands.ping())).toBe('PONG');
    expect(heard).toEqual(['down', 'up']);
    expect(events()).toEqual(['store_connected', 'store_away', 'store_listener_failed', 'store_back']);
    stop();
  });

  test('scripts keep their order from the first command to the new server on', async () => {
    const push = new Script(`return redis.call('RPUSH', KEYS[1], ARGV[1]) -- in order`);
    const { link } = await connected();
    await redis.kill();
    await waitFor('the link to notice', () => !link.isUp);
    let sent = 0;
    const send = () => {
      sent += 1;
      link.post(10, (commands) => push.run(commands, ['pushed'], [sent]));
      if (sent < 200) setImmediate(send);
    };
    const stop = link.listen({ up: send });
    await redis.restart();
    await waitFor('all', async () => (await redis.cli('LLEN', 'pushed')) === '200');
    stop();
    const pushed = (await redis.cli('LRANGE', 'pushed', '0', '-1')).split('\n').map(Number);
    expect(pushed).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(await redis.cli('INFO', 'errorstats')).not.toContain('NOSCRIPT');
  });

  test('without one at start, connecting ends and goes on behind the scenes', async () => {
    const port = await freePort();
    const { link, events } = open(`redis://127.0.0.1:${port}`);
    await within('the first attempt', link.connect());
    expect(link.isUp).toBe(false);
    await expect(ping(link)()).rejects.toThrow(StoreAwayError);
    const late = await startRedis({ port });
    try {
      await waitFor('the link', () => link.isUp);
      expect(events()).toEqual(['store_away', 'store_back']);
    } finally {
      await link.close();
      await late.stop();
    }
  });
});

describe('while Redis hangs', () => {
  test('the first command is given up within 100 ms, later ones at once, and it comes back by itself', async () => {
    const { link, events } = await connected();
    const upSinceMs = link.upSinceMs;
    redis.pause();
    const pausedMs = systemClock.now();
    const limitMs = hundredMs();
    const first = await timed(ping(link));
    expect(first.outcome).toBeInstanceOf(StoreAwayError);
    expect(first.ms).toBeLessThan((await limitMs) + NOISE_MS);
    for (let i = 0; i < 20; i += 1) {
      expect(await atOnce(ping(link))).toBeInstanceOf(StoreAwayError);
    }
    expect([link.isUp, link.upSinceMs]).toEqual([false, undefined]);
    expect(link.post(1, (commands) => commands.ping())).toBe(false);

    const resumedMs = systemClock.now();
    redis.resume();
    await waitFor('the link to be back', () => link.isUp, 1000 + NOISE_MS);
    // Nobody has concluded anything from so short a silence; a machine that is slow enough makes it a long one.
    const wasShort = systemClock.now() - pausedMs < 1000;
    if (wasShort) expect(link.upSinceMs).toBe(upSinceMs);
    else expect(link.upSinceMs === upSinceMs || Number(link.upSinceMs) >= resumedMs).toBe(true);
    expect(await link.run((commands) => commands.ping())).toBe('PONG');
    expect(events()).toEqual(['store_connected', 'store_away', 'store_back']);
  });

  test('a long silence is a break', async () => {
    const { link } = await connected();
    redis.pause();
    expect((await timed(ping(link))).outcome).toBeInstanceOf(StoreAwayError);
    await delay(1200);
    const resumedMs = systemClock.now();
    redis.resume();
    await waitFor('the link to be back', () => link.isUp, 1000 + NOISE_MS);
    expect(link.upSinceMs).toBeGreaterThanOrEqual(resumedMs);
  });

  test('commands that wait together are given up together', async () => {
    const { link } = await connected();
    redis.pause();
    const settled: string[] = [];
    const early = timed(ping(link)).finally(() => settled.push('early'));
    await delay(50);
    const late = timed(ping(link)).finally(() => settled.push('late'));
    expect((await early).outcome).toBeInstanceOf(StoreAwayError);
    expect(await atOnce(() => late)).toMatchObject({ outcome: expect.any(StoreAwayError) });
    expect(settled).toEqual(['early', 'late']);
  });

  test('commands nobody waits for notice it too', async () => {
    const { link } = await connected();
    redis.pause();
    expect(link.post(10, (commands) => commands.set('a', 'b'))).toBe(true);
    await hundredMs();
    await waitFor('the link to notice', () => !link.isUp, NOISE_MS);
  });

  test('a fresh connection is opened when the old one stays silent, and works at once when it goes on', async () => {
    const { link } = await connected();
    const id = await link.run((commands) => commands.client('ID'));
    redis.pause();
    await timed(ping(link));
    await delay(3000);
    redis.resume();
    await waitFor('the link to be back', () => link.isUp, 1000 + NOISE_MS);
    expect(await link.run((commands) => commands.client('ID'))).not.toBe(id);
  });

  test('a pause of this process is not one of Redis', async () => {
    const { link, events } = await connected();
    const answer = link.run((commands) => commands.ping());
    const untilMs = performance.now() + 400;
    while (performance.now() < untilMs);
    expect(await answer).toBe('PONG');
    expect(events()).toEqual(['store_connected']);
  });

  test('connecting to it is given up too', async () => {
    redis.pause();
    const { link, events } = open();
    await within('the first attempt', link.connect());
    expect(link.isUp).toBe(false);
    redis.resume();
    await waitFor('the link', () => link.isUp);
    expect(events()).toEqual(['store_away', 'store_back']);
    expect(link.upSinceMs).toBeGreaterThan(0);
  });
});

describe('what went wrong with one command', () => {
  test.each([
    ['the wrong type', (link: RedisLink) => link.run((commands) => commands.incr('list'))],
    ['an error of a script', (link: RedisLink) => link.run((c) => new Script('return nothing.at.all').run(c, [], []))],
    ['an error of the caller', (link: RedisLink) => link.run(() => Promise.reject(new TypeError('oops')))],
    [
      'an error before anything was sent',
      (link: RedisLink) =>
        link.run(() => {
          throw new TypeError('oops');
        }),
    ],
  ])('%s is its own affair', async (_name, work) => {
    const { link, events } = await connected();
    await redis.cli('RPUSH', 'list', 'x');
    const { outcome } = await timed(() => work(link));
    expect(outcome).toBeInstanceOf(Error);
    expect(outcome).not.toBeInstanceOf(StoreAwayError);
    await delay(150);
    expect(link.isUp).toBe(true);
    expect(events()).toEqual(['store_connected']);
  });

  test('texts and bytes survive a script, and a forgotten script is sent again', async () => {
    const { link } = await connected();
    const echo = new Script('return {KEYS[1], ARGV[1], ARGV[2]}');
    const bytes = Buffer.from([0, 255, 13, 10, 128]);
    expect(await link.run((commands) => echo.run(commands, ['k'], ['ü', 5]))).toEqual(['k', 'ü', '5']);
    await redis.cli('SCRIPT', 'FLUSH');
    const digest = new Script('return {KEYS[1], redis.sha1hex(ARGV[1])}');
    const reply = await link.run((commands) => digest.run(commands, ['k'], [bytes]));
    expect(reply).toEqual(['k', createHash('sha1').update(bytes).digest('hex')]);
    expect(await link.run((commands) => echo.run(commands, ['k'], ['again', 1]))).toEqual(['k', 'again', '1']);
  });
});

describe('commands nobody waits for', () => {
  test('are executed in order, with those somebody waits for', async () => {
    const { link } = await connected();
    await redis.cli('DEL', 'order');
    for (let i = 0; i < 100; i += 1) expect(link.post(10, (commands) => commands.rpush('order', i))).toBe(true);
    const order = await link.run((commands) => commands.lrange('order', 0, -1));
    expect(order).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
  });

  test('are dropped past 10,000 or 8 MiB unanswered, and taken again once those are answered', async () => {
    const { link } = await connected();
    const post = (bytes: number) => link.post(bytes, (commands) => commands.ping());
    expect([post(8 * 1024 * 1024), post(1)]).toEqual([true, false]);
    await link.run((commands) => commands.ping());
    const taken = Array.from({ length: 10_001 }, () => post(1));
    expect(taken.indexOf(false)).toBe(10_000);
    await waitFor('room', () => post(1));
  });

  test('fail silently', async () => {
    const { link, events } = await connected();
    await redis.cli('SET', 'text', 'x');
    expect(link.post(10, (commands) => commands.rpush('text', 'y'))).toBe(true);
    await delay(50);
    expect(events()).toEqual(['store_connected']);
  });
});

describe('who may', () => {
  test('with the right password it works, with a wrong one it stays away, alive and discreet', async () => {
    const locked = await startRedis({ args: ['--requirepass', 'open-sesame'] });
    try {
      const right = await connected(locked.url.replace('://', '://:open-sesame@'));
      expect(await right.link.run((commands) => commands.ping())).toBe('PONG');

      const wrong = open(locked.url.replace('://', '://:hunter2@'));
      await within('the first attempt', wrong.link.connect());
      await delay(500);
      expect(wrong.link.isUp).toBe(false);
      expect(wrong.events()).toEqual(['store_away']);
      expect(wrong.log()).toContain('WRONGPASS');
      expect(wrong.log()).not.toContain('hunter2');

      const none = open(locked.url);
      await within('the first attempt', none.link.connect());
      expect(none.link.isUp).toBe(false);
      expect(none.log()).toContain('NOAUTH');
      for (const { link } of [right, wrong, none]) await link.close();
    } finally {
      await locked.stop();
    }
  });

  test('a user with a name, who may not ask for INFO, is served', async () => {
    const locked = await startRedis();
    try {
      await locked.cli('ACL', 'SETUSER', 'gate', 'on', '>pa/ss', '~*', '+@all', '-info');
      const { link } = await connected(locked.url.replace('://', '://gate:pa%2Fss@'));
      expect(link.upSinceMs).toBeGreaterThan(0);
      await link.close();
    } finally {
      await locked.stop();
    }
  });

  test('a server that takes no writes is away', async () => {
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] });
    try {
      const { link, log } = open(replica.url);
      await within('the first attempt', link.connect());
      expect(link.isUp).toBe(false);
      expect(log()).toContain('read-only replica');
      await replica.cli('REPLICAOF', 'NO', 'ONE');
      await waitFor('the link', () => link.isUp);
      await replica.cli('REPLICAOF', '127.0.0.1', String(redis.port));
      const { outcome } = await timed(() => link.run((commands) => commands.set('a', 'b')));
      expect(outcome).toBeInstanceOf(StoreAwayError);
      expect(link.isUp).toBe(false);
      await link.close();
    } finally {
      await replica.stop();
    }
  });
});

describe('since when it is up', () => {
  test('a server that just started counts from the connection', async () => {
    const fresh = await startRedis();
    const { link } = await connected(fresh.url);
    const nowMs = systemClock.now();
    expect(link.upSinceMs).toBeGreaterThan(nowMs - 5000);
    expect(link.upSinceMs).toBeLessThanOrEqual(nowMs);
    await link.close();
    expect([link.isUp, link.upSinceMs]).toEqual([false, undefined]);
    await fresh.stop();
  });

  test('a server that was there before counts from always', async () => {
    await waitFor(
      'the server to be 11 s old',
      async () => Number(/uptime_in_seconds:(\d+)/.exec(await redis.cli('INFO', 'server'))?.[1]) > 10,
      15_000,
    );
    const { link } = await connected();
    expect(link.upSinceMs).toBe(Number.NEGATIVE_INFINITY);
  });
});

test('what is closed stays closed, and closing waits for what was posted', async () => {
  const { link } = await connected();
  await redis.cli('DEL', 'last');
  for (let i = 0; i < 1000; i += 1) link.post(10, (commands) => commands.incr('last'));
  await link.close();
  expect(await redis.cli('GET', 'last')).toBe('1000');
  await link.close();
  await link.connect();
  await expect(ping(link)()).rejects.toThrow(StoreAwayError);
  expect(link.post(1, (commands) => commands.ping())).toBe(false);
  const clients = async () => redis.cli('CLIENT', 'LIST');
  await waitFor('the connection to end', async () => !(await clients()).includes('name=mcp-gateway'));

  const never = open();
  await never.link.close();
  await within('connecting', never.link.connect());
  expect(never.link.isUp).toBe(false);
});
