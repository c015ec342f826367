import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Unanswered } from '../../../src/redis/unanswered.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('tells of a command that waits too long, within 100 ms and not before 80', () => {
  for (const phaseMs of [0, 5, 19]) {
    const onLate = vi.fn();
    const unanswered = new Unanswered(onLate);
    const first = unanswered.add();
    vi.advanceTimersByTime(phaseMs);
    unanswered.add();
    unanswered.remove(first);
    vi.advanceTimersByTime(80);
    expect(onLate).not.toHaveBeenCalled();
    vi.advanceTimersByTime(21);
    expect(onLate).toHaveBeenCalled();
    unanswered.failAll(() => new Error('gone'));
    vi.advanceTimersByTime(40);
  }
});

test('an answer that is read right after the timer comes in time', () => {
  const onLate = vi.fn();
  const unanswered = new Unanswered(onLate);
  const command = unanswered.add();
  setTimeout(() => unanswered.remove(command), 100);
  vi.advanceTimersByTime(200);
  expect(onLate).not.toHaveBeenCalled();
});

test('commands answered in any order leave nothing behind, not even the timer', () => {
  const onLate = vi.fn();
  const unanswered = new Unanswered(onLate);
  const commands = Array.from({ length: 10 }, () => unanswered.add());
  for (const command of commands.toReversed()) unanswered.remove(command);
  vi.advanceTimersByTime(500);
  expect(onLate).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('fails those somebody waits for, once', () => {
  const unanswered = new Unanswered(() => {});
  const fail = vi.fn();
  unanswered.add(fail);
  unanswered.add();
  unanswered.failAll(() => new Error('gone'));
  unanswered.failAll(() => new Error('again'));
  expect(fail.mock.calls).toEqual([[new Error('gone')]]);
});
