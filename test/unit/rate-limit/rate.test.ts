import { describe, expect, test } from 'vitest';
import { rateLimitOptions } from '../../../src/rate-limit/options.js';
import { parseRate } from '../../../src/rate-limit/rate.js';

describe('parseRate', () => {
  test.each([
    ['10/s', { calls: 10, windowMs: 1000 }],
    ['60/m', { calls: 60, windowMs: 60_000 }],
    ['1000/h', { calls: 1000, windowMs: 3_600_000 }],
  ])('reads %s', (text, rate) => {
    expect(parseRate(text)).toEqual(rate);
  });

  test.each([
    '',
    '0/m',
    '-1/m',
    '1.5/s',
    '60',
    '60/',
    '/m',
    '60/d',
    '60/ms',
    ' 60/m',
    '60/m\n',
    '1e3/s',
    '01/s',
    '9999999999/s',
  ])('refuses %j', (text) => {
    expect(parseRate(text)).toBeUndefined();
  });
});

describe('rateLimitOptions', () => {
  test('fills in the defaults and reads the rate', () => {
    const options = rateLimitOptions.parse({ limits: [{ name: 'per-caller', per: ['principal'], limit: '600/m' }] });
    expect(options).toEqual({
      onStoreFailure: 'local',
      limits: [{ name: 'per-caller', per: ['principal'], limit: { calls: 600, windowMs: 60_000 }, burst: 0 }],
    });
  });

  test('has no limits when nothing is configured', () => {
    expect(rateLimitOptions.parse({})).toEqual({ onStoreFailure: 'local', limits: [] });
  });

  const valid = { name: 'a', per: ['principal'], limit: '1/s' };
  test.each([
    ['an unknown key', { limits: [{ ...valid, window: '1s' }] }, ['limits', 0]],
    ['an unknown key of match', { limits: [{ ...valid, match: { tools: 'x' } }] }, ['limits', 0, 'match']],
    ['a rate that is none', { limits: [{ ...valid, limit: 'often' }] }, ['limits', 0, 'limit']],
    ['an unknown dimension', { limits: [{ ...valid, per: ['session'] }] }, ['limits', 0, 'per', 0]],
    ['no dimension', { limits: [{ ...valid, per: [] }] }, ['limits', 0, 'per']],
    ['a dimension named twice', { limits: [{ ...valid, per: ['ip', 'ip'] }] }, ['limits', 0, 'per']],
    ['a negative burst', { limits: [{ ...valid, burst: -1 }] }, ['limits', 0, 'burst']],
    ['two limits of one name', { limits: [valid, valid] }, ['limits', 1, 'name']],
    ['a name that is no label', { limits: [{ ...valid, name: 'a b' }] }, ['limits', 0, 'name']],
    ['an unknown failure mode', { onStoreFailure: 'open' }, ['onStoreFailure']],
  ])('refuses %s, and says where', (_what, input, path) => {
    const result = rateLimitOptions.safeParse(input);
    expect(result.error?.issues.map((issue) => issue.path)).toContainEqual(path);
  });
});
