/** The checker of histories finds each promise that can be broken. */
import { beforeEach, describe, expect, test } from 'vitest';
import { endOf, History, isGood, quantile } from '../../chaos/history.js';

const once = new Map([['n', 1]]);
let nowMs: number;
let history: History;
beforeEach(() => {
  nowMs = 0;
  history = new History(() => nowMs);
  history.sent({ nonce: 'n', client: 'c', tool: 'echo', delayMs: 0 });
  nowMs = 10;
});

function good(): void {
  history.answered('n', 'n');
  history.ended('n', { kind: 'reply', text: 'n' });
}

describe('a call that was answered once and executed once', () => {
  test('is good', () => {
    good();
    expect(history.violations(once)).toEqual([]);
    expect(history.calls.map(isGood)).toEqual([true]);
  });

  test('is not closed by the end of its connection', () => {
    good();
    history.closedCall('n');
    history.closed(() => true);
    expect(history.calls[0]?.closedAtMs).toBeUndefined();
  });
});

test.each([
  ['executed twice', () => good(), new Map([['n', 2]]), 'executed 2 times'],
  ['executed never', () => good(), new Map(), 'without having been executed'],
  ['open', () => {}, once, 'still open'],
  ['silent', () => history.ended('n', { kind: 'silence' }), once, 'neither an answer nor a closed connection'],
  ['an error', () => history.ended('n', { kind: 'error', reason: 'HTTP 502' }), once, 'HTTP 502'],
  ['the answer of another', () => history.ended('n', { kind: 'reply', text: 'm' }), once, 'answer of another: m'],
])('finds a call that was %s', (_name, happen, executions: ReadonlyMap<string, number>, found) => {
  happen();
  expect(history.violations(executions).join('\n')).toContain(found);
});

test('finds answers on the wire that the client did not see', () => {
  good();
  history.answered('n', 'n');
  expect(history.violations(once)).toEqual([expect.stringContaining('answered 2 times')]);
  expect(history.violations(once, { mayRepeatAnswers: true })).toEqual([]);
  history.answered('n', 'm');
  expect(history.violations(once, { mayRepeatAnswers: true })).toEqual([expect.stringContaining('of another: m')]);
});

test('a call that may fail may do so with an error or a closed connection, but not in silence', () => {
  const mayFail = () => true;
  history.ended('n', { kind: 'silence' });
  expect(history.violations(once, { mayFail })).toHaveLength(1);
  const closed = new History(() => nowMs);
  closed.sent({ nonce: 'n', client: 'c', tool: 'echo', delayMs: 0 });
  nowMs = 25;
  closed.closed(({ client }) => client === 'c');
  nowMs = 60;
  closed.ended('n', { kind: 'silence' });
  expect(closed.violations(once, { mayFail })).toEqual([]);
  expect(closed.calls.map(endOf)).toEqual([25]);
});

test('quantiles are values that occurred', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([0, 0.5, 0.99, 1].map((fraction) => quantile(values, fraction))).toEqual([1, 51, 100, 100]);
  expect(quantile([], 0.5)).toBeNaN();
});
