import { describe, expect, test } from 'vitest';
import { Fence } from '../../../src/gateway/fence.js';

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
