/** The judge of the conformance runs must itself be able to say no. */
import { expect, test } from 'vitest';
import { judge } from './judge.js';
import type { Check } from './run-tool.js';

const check = (name: string, status: Check['status']): Check => ({ name, status, error: undefined });
const NONE = new Map<string, string>();

test('finds nothing when both runs are the same', () => {
  const checks = [check('a', 'SUCCESS'), check('b', 'INFO'), check('c', 'SKIPPED')];
  expect(judge(checks, checks, NONE)).toEqual({ regressions: [], stale: [] });
});

test.each(['INFO', 'SKIPPED', 'WARNING', 'FAILURE'] as const)('reports a success that became %s', (status) => {
  const { regressions } = judge([check('a', 'SUCCESS')], [check('a', status)], NONE);
  expect(regressions).toEqual([`a: SUCCESS directly, ${status} through the gateway: no reason given`]);
});

test('reports a check that is no longer made', () => {
  const { regressions } = judge([check('a', 'SUCCESS')], [check('b', 'SUCCESS')], NONE);
  expect(regressions).toEqual(['a: SUCCESS directly, not checked through the gateway']);
});

test('accepts what comes out better', () => {
  expect(judge([check('a', 'WARNING')], [check('a', 'SUCCESS')], NONE).regressions).toEqual([]);
});

test('excuses an expected failure', () => {
  const expected = new Map([['a', 'because']]);
  expect(judge([check('a', 'SUCCESS')], [check('a', 'FAILURE')], expected)).toEqual({ regressions: [], stale: [] });
});

test('reports an expected failure that does not fail', () => {
  const expected = new Map([['a', 'because']]);
  expect(judge([check('a', 'SUCCESS')], [check('a', 'SUCCESS')], expected).stale).toEqual(['a']);
});

test('reports an expected failure of a check that does not exist', () => {
  const expected = new Map([['gone', 'because']]);
  expect(judge([check('a', 'SUCCESS')], [check('a', 'SUCCESS')], expected).stale).toEqual(['gone']);
});
