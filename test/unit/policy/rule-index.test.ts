import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileGlob } from '../../../src/policy/globs.js';
import { NameMemo } from '../../../src/policy/name-memo.js';
import { RuleIndex } from '../../../src/policy/rule-index.js';

const indexOf = (...patterns: string[]) => new RuleIndex(patterns, (pattern) => compileGlob(pattern, 'any'));

test.each([
  ['put_1', ['put_1', 'put_*', '*', 'put_1', 'p*1']],
  ['put_2', ['put_*', '*']],
  ['', ['*']],
  ['constructor', ['*', 'constructor']],
  ['__proto__', ['*']],
])('%j finds what matches, in the order written', (name, expected) => {
  expect(indexOf('put_1', 'put_*', '*', 'put_1', 'p*1', 'get_*', 'constructor').find(name)).toEqual(expected);
});

test('finds exactly what trying every pattern finds', () => {
  const text = (...units: string[]) => fc.array(fc.constantFrom(...units), { maxLength: 5 }).map((all) => all.join(''));
  const patterns = fc.array(
    text('a', 'b', '_', '*', '😀').map((raw) => raw.replace(/\*+/g, '*')),
    { maxLength: 12 },
  );
  const property = fc.property(patterns, fc.array(text('a', 'b', '_', '😀', '*')), (all, names) => {
    const numbered = all.map((pattern, number) => ({ number, glob: compileGlob(pattern, 'any') }));
    const index = new RuleIndex(numbered, ({ glob }) => glob);
    for (const name of names) {
      expect(index.find(name)).toEqual(numbered.filter(({ glob }) => glob.matches(name)));
    }
  });
  fc.assert(property, { numRuns: 500 });
});

test('what is remembered of names is bounded, in number and in length', () => {
  let made = 0;
  const memo = new NameMemo(10, (name) => {
    made += 1;
    return { name };
  });
  expect(memo.get('a')).toBe(memo.get('a'));
  expect(made).toBe(1);
  for (let number = 0; number < 1000; number += 1) {
    expect(memo.get(`n${number}`).name).toBe(`n${number}`);
    expect(memo.size).toBeLessThanOrEqual(10);
  }
  const { size } = memo;
  const long = 'x'.repeat(1000);
  expect(memo.get(long).name).toBe(long);
  expect(memo.size).toBe(size);
});
