import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileGlob } from '../../../src/rate-limit/glob.js';
import { fastestMs } from '../../helpers/fastest.js';

describe('compileGlob', () => {
  test.each([
    ['post_sms', 'post_sms', true],
    ['post_sms', 'post_sms_2', false],
    ['post_sms_*', 'post_sms_2', true],
    ['post_sms_*', 'post_sms_', true],
    ['post_sms_*', 'post_sms', false],
    ['*_bulks*', 'put_bulks_1', true],
    ['*_bulks*', 'put_bulk', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a__b__c', true],
    ['a*bc*c', 'abc', false],
    ['*', '', true],
    ['*', 'line\nbreak \u202e\u0000', true],
    ['.*', 'x', false],
    ['a.c', 'abc', false],
  ])('%j against %j: %s', (pattern, text, expected) => {
    expect(compileGlob(pattern)(text)).toBe(expected);
  });

  test('agrees with a regular expression', () => {
    const letters = (alphabet: string) => fc.string({ unit: fc.constantFrom(...alphabet.split('')), maxLength: 8 });
    fc.assert(
      fc.property(letters('ab*'), letters('ab'), (pattern, text) => {
        const reference = new RegExp(`^${pattern.replaceAll('*', '[^]*')}$`, 'u');
        expect(compileGlob(pattern)(text)).toBe(reference.test(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('stays fast on a pattern that makes backtracking matchers explode', () => {
    const matches = compileGlob(`${'*a'.repeat(50)}*b`);
    expect(matches('a'.repeat(5000))).toBe(false);
    expect(fastestMs(() => matches('a'.repeat(5000)))).toBeLessThan(200);
  });
});
