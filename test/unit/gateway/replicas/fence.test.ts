import { describe, expect, test } from 'vitest';
import { TimerWheel } from '../../../../src/core/timer-wheel.js';
import { Fence } from '../../../../src/gateway/replicas/fence.js';

describe('a fence', () => {
  test('that is open lets everything pass at once', () => {
    const done: string[] = [];
    const fence = new Fence();
    expect(fence.isOpen).toBe(true);
    fence.pass(() => done.push('a'));
    expect(done).toEqual(['a']);
  });

  test('that is shut keeps what comes, and lets it pass in order when it opens', () => {
    const done: string[] = [];
    const fence = new Fence();
    fence.shut();
    expect(fence.isOpen).toBe(false);
    fence.pass(() => done.push('a'));
    fence.shut();
    fence.pass(() => done.push('b'));
    expect(done).toEqual([]);
    fence.open();
    expect(done).toEqual(['a', 'b']);
    expect(fence.isOpen).toBe(true);
    fence.open();
    expect(done).toEqual(['a', 'b']);
  });

  test('looks whether the process stood still before it says that it is open, and not while it is shut', () => {
    let checks = 0;
    let stoodStill = false;
    const fence: Fence = new Fence(() => {
      checks += 1;
      if (stoodStill) fence.shut();
    });
    expect(fence.isOpen).toBe(true);
    stoodStill = true;
    expect(fence.isOpen).toBe(false);
    expect(fence.isOpen).toBe(false);
    expect(checks).toBe(2);
  });

  test('keeps nobody for longer than was agreed', () => {
    let nowMs = 0;
    const timers = new TimerWheel(100, 64, { now: () => nowMs, wallTimeMs: () => nowMs });
    const done: string[] = [];
    const fence = new Fence(() => {}, timers);
    const otherwise = (afterMs: number, name: string) => ({ afterMs, act: () => done.push(name) });
    fence.pass(() => done.push('at once'), otherwise(1000, 'never'));
    fence.shut();
    fence.pass(() => done.push('patient'));
    fence.pass(() => done.push('too late'), otherwise(1000, 'a is late'));
    fence.pass(() => done.push('in time'), otherwise(2000, 'b is late'));
    nowMs = 1200;
    timers.advance();
    expect(done).toEqual(['at once', 'a is late']);
    fence.open();
    expect(done).toEqual(['at once', 'a is late', 'patient', 'in time']);
    nowMs = 3000;
    timers.advance();
    expect(done.length).toBe(4);
    expect(timers.size).toBe(0);
  });

  test('lets the others pass when one fails', () => {
    const done: string[] = [];
    const fence = new Fence();
    fence.shut();
    fence.pass(() => {
      throw new Error('of this one alone');
    });
    fence.pass(() => done.push('the next'));
    expect(() => fence.open()).toThrow('of this one alone');
    expect(done).toEqual(['the next']);
  });
});
