import { describe, expect, test } from 'vitest';
import { redisSchema } from '../../../src/redis/options.js';
import { describeEndpoint, parseRedisUrl } from '../../../src/redis/url.js';

const open = { tls: false, username: undefined, password: undefined };

function endpointOf(url: string): unknown {
  return redisSchema.parse({ url }).endpoint;
}

describe('the URL of Redis', () => {
  test.each([
    ['redis://localhost', { ...open, kind: 'single', node: { host: 'localhost', port: 6379 }, db: 0 }],
    ['redis://10.0.0.1:7000/3', { ...open, kind: 'single', node: { host: '10.0.0.1', port: 7000 }, db: 3 }],
    ['redis://[::1]:7000/', { ...open, kind: 'single', node: { host: '::1', port: 7000 }, db: 0 }],
    ['redis://:@h:1', { ...open, kind: 'single', node: { host: 'h', port: 1 }, db: 0 }],
    [
      'rediss://us%40er:p%2F%3As@h:1',
      { tls: true, username: 'us@er', password: 'p/:s', kind: 'single', node: { host: 'h', port: 1 }, db: 0 },
    ],
    [
      'redis://:a:b@c@h:1',
      { tls: false, username: undefined, password: 'a:b@c', kind: 'single', node: { host: 'h', port: 1 }, db: 0 },
    ],
    [
      'redis+sentinel://:p@a:1,b/main/2',
      {
        tls: false,
        username: undefined,
        password: 'p',
        kind: 'sentinel',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26_379 },
        ],
        master: 'main',
        db: 2,
      },
    ],
    [
      'rediss+cluster://a:1,[fe80::1]:2',
      {
        ...open,
        tls: true,
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'fe80::1', port: 2 },
        ],
      },
    ],
  ])('reads %s', (url, endpoint) => {
    expect(endpointOf(url)).toEqual(endpoint);
  });

  test.each([
    ['', /not a Redis URL/],
    ['localhost:6379', /not a Redis URL/],
    ['http://:hunter2@h', /not a Redis URL/],
    ['redis+sentinels://:hunter2@h', /not a Redis URL/],
    ['redis://:hunter2@h?x=1', /not a Redis URL/],
    ['redis://:hun/ter2@h', /name host:port|not a Redis URL|credentials/],
    ['redis://hunter2@h', /credentials/],
    ['redis://user:@h', /credentials/],
    ['redis://:hunter2%zz@h', /credentials/],
    ['redis://:hunter2@', /host:port/],
    ['redis://:hunter2@h:0', /host:port/],
    ['redis://:hunter2@h:65536', /host:port/],
    ['redis://:hunter2@h:port', /host:port/],
    ['redis://:hunter2@::1', /host:port/],
    ['redis://:hunter2@a,b', /several hosts/],
    ['redis://:hunter2@h/x', /database/],
    ['redis://:hunter2@h/-1', /database/],
    ['redis+sentinel://:hunter2@h', /name of the master/],
    ['redis+sentinel://:hunter2@h/main/1/2', /name of the master/],
    ['redis+sentinel://:hunter2@h/main/x', /database/],
    ['redis+cluster://:hunter2@h/0', /no databases/],
    ['redis+cluster://:hunter2@a,,b', /host:port/],
  ])('refuses %s without repeating it', (url, message) => {
    const result = redisSchema.safeParse({ url });
    expect(result.error?.issues.map((issue) => issue.path)).toEqual([['url']]);
    expect(result.error?.issues[0]?.message).toMatch(message);
    expect(JSON.stringify(result.error)).not.toMatch(/hunter2|hun|ter2/);
  });

  test('is shown without its credentials', () => {
    for (const url of [
      'redis://h:1',
      'rediss://[::1]:1',
      'redis+sentinel://a:1,b:2/main',
      'rediss+cluster://a:1,b:2',
    ]) {
      const parsed = parseRedisUrl(url.replace('://', '://user:hunter2@'));
      expect('endpoint' in parsed && describeEndpoint(parsed.endpoint)).toBe(url);
    }
  });
});

test('the rest has defaults, and nothing else is known', () => {
  expect(redisSchema.parse({ url: 'redis://h' })).toMatchObject({ keyPrefix: 'mcpgw', required: false });
  expect(redisSchema.safeParse({}).success).toBe(false);
  expect(redisSchema.safeParse({ url: 'redis://h', keyprefix: 'x' }).success).toBe(false);
  for (const keyPrefix of ['', 'a{b}', 'a b', 'x'.repeat(65)]) {
    expect(redisSchema.safeParse({ url: 'redis://h', keyPrefix }).success).toBe(false);
  }
});

describe('what sentinels want to be told', () => {
  const SENTINELS = 'redis+sentinel://:p@a:1/main';

  test('is apart from what is in the URL', () => {
    const { endpoint } = redisSchema.parse({ url: SENTINELS, sentinelUsername: 'me', sentinelPassword: 's' });
    expect(endpoint).toMatchObject({ password: 'p', sentinelAccess: { username: 'me', password: 's' } });
    expect(describeEndpoint(endpoint)).toBe('redis+sentinel://a:1/main');
  });

  test('may be empty, as a variable that is not set leaves it', () => {
    const keys = { url: SENTINELS, sentinelUsername: '', sentinelPassword: '' };
    expect(redisSchema.parse(keys)).toEqual(redisSchema.parse({ url: SENTINELS }));
  });

  test.each([
    [{ url: 'redis://a', sentinelPassword: 'canary' }, 'sentinelPassword', 'goes with redis+sentinel:// alone'],
    [{ url: 'redis+cluster://a', sentinelUsername: 'canary' }, 'sentinelUsername', 'goes with redis+sentinel:// alone'],
    [{ url: SENTINELS, sentinelUsername: 'canary' }, 'sentinelUsername', 'goes with sentinelPassword'],
  ])('is refused where there are none: %o', (keys, key, message) => {
    const { error } = redisSchema.safeParse(keys);
    expect(error?.issues).toMatchObject([{ path: [key], message }]);
    expect(error?.message).not.toContain('canary');
  });
});
