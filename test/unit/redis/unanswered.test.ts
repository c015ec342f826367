import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import { Unanswered } from '../../../src/redis/unanswered.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('tells of a command that waits too long, within 100 ms and not before 80', () => {
  for (const phaseMs of [0, 5, 19]) {
    const onLate = vi.fn();
    const unanswered = new Unanswered(systemClock, onLate);
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
  const unanswered = new Unanswered(systemClock, onLate);
  const command = unanswered.add();
  setTimeout(() => unanswered.remove(command), 100);
  vi.advanceTimersByTime(200);
  expect(onLate).not.toHaveBeenCalled();
});

test('commands answered in any order leave nothing behind, not even the timer', () => {
  const onLate = vi.fn();
  const unanswered = new Unanswered(systemClock, onLate);
  const commands = Array.from({ length: 10 }, () => unanswered.add());
  for (const command of commands.toReversed()) unanswered.remove(command);
  vi.advanceTimersByTime(500);
  expect(onLate).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('fails those somebody waits for, once', () => {
  const unanswered = new Unanswered(systemClock, () => {});
  const fail = vi.fn();
  unanswered.add(fail);
  unanswered.add();
  unanswered.failAll(() => new Error('gone'));
  unanswered.failAll(() => new Error('again'));
  expect(fail.mock.calls).toEqual([[new Error('gone')]]);
});

test('a pause of this process counts little', () => {
  const onLate = vi.fn();
  let pausedMs = 0;
  const clock = { now: () => performance.now() + pausedMs, wallTimeMs: () => 0 };
  const unanswered = new Unanswered(clock, onLate);
  const command = unanswered.add();
  pausedMs = 500;
  vi.advanceTimersByTime(60);
  expect(onLate).not.toHaveBeenCalled();
  unanswered.remove(command);
});

test('slow timers do not add up', () => {
  const onLate = vi.fn();
  let slownessMs = 0;
  const clock = { now: () => performance.now() + slownessMs, wallTimeMs: () => 0 };
  const unanswered = new Unanswered(clock, onLate);
  unanswered.add();
  for (let tick = 0; tick < 3; tick += 1) {
    expect(onLate).not.toHaveBeenCalled();
    slownessMs += 15;
    vi.advanceTimersByTime(20);
  }
  vi.advanceTimersByTime(1);
  expect(onLate).toHaveBeenCalledTimes(1);
});
