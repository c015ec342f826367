import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BufferBudget } from '../../../src/downstream/buffer-budget.js';
import { ReplayLog } from '../../../src/downstream/replay-log.js';

function append(log: ReplayLog, sequence: number, bytes: Buffer, isNotification: boolean, mayDrop: boolean): boolean {
  return log.append({ sequence, bytes, isNotification, answers: undefined }, mayDrop);
}

const LIMIT = 100;

function newLog(budget = new BufferBudget(1_000_000)) {
  return { log: new ReplayLog(LIMIT, budget, 0), budget };
}

function takeAll(log: ReplayLog): string[] {
  const taken: string[] = [];
  for (let bytes = log.next; bytes !== undefined; bytes = log.next) {
    taken.push(bytes.toString());
    log.advance();
  }
  return taken;
}

const bytes = (length: number, letter = 'x') => Buffer.from(letter.repeat(length));

describe('a client that is there', () => {
  test('is given everything in order, however much it is', () => {
    const { log } = newLog();
    for (let sequence = 1; sequence <= 50; sequence += 1)
      append(log, sequence, Buffer.from(`e${sequence}`), true, false);
    expect(takeAll(log)).toEqual(Array.from({ length: 50 }, (_, index) => `e${index + 1}`));
  });

  test('may go on behind any event that is still known', () => {
    const { log } = newLog();
    for (const sequence of [1, 2, 3]) append(log, sequence, Buffer.from(`e${sequence}`), false, false);
    takeAll(log);
    for (const [after, rest] of [
      [0, ['e1', 'e2', 'e3']],
      [1, ['e2', 'e3']],
      [3, []],
    ] as const) {
      expect(log.canResumeAfter(after)).toBe(true);
      log.rewindTo(after);
      expect(takeAll(log)).toEqual(rest);
    }
    expect(log.canResumeAfter(4)).toBe(false);
  });

  test('an event counts as given only when it was given whole', () => {
    const { log } = newLog();
    append(log, 1, bytes(90, 'a'), false, false);
    expect(log.next?.length).toBe(90);
    append(log, 2, bytes(90, 'b'), false, false);
    expect(takeAll(log)).toEqual(['a'.repeat(90), 'b'.repeat(90)]);
  });

  test('what was given is forgotten past the limit, oldest first, and the newest never', () => {
    const { log } = newLog();
    for (const sequence of [1, 2, 3]) {
      append(log, sequence, bytes(60), false, false);
      takeAll(log);
    }
    expect([0, 1, 2, 3].map((sequence) => log.canResumeAfter(sequence))).toEqual([false, false, true, true]);
    append(log, 4, bytes(500), false, false);
    takeAll(log);
    expect([3, 4].map((sequence) => log.canResumeAfter(sequence))).toEqual([true, true]);
    expect(log.retainedBytes).toBe(500);
  });

  test('a log that has been full for long still knows exactly the last that fit, and goes on behind each of them', () => {
    const { log, budget } = newLog();
    for (let sequence = 1; sequence <= 500; sequence += 1) {
      append(log, sequence, bytes(10), true, false);
      takeAll(log);
      const kept = Math.min(sequence, LIMIT / 10);
      expect(log.events.map((event) => event.sequence)).toEqual(
        Array.from({ length: kept }, (_, index) => sequence - kept + 1 + index),
      );
      expect(log.forgottenUpTo).toBe(sequence - kept);
      expect(log.canResumeAfter(sequence - kept - 1)).toBe(false);
      log.rewindTo(sequence - kept);
      expect(log.waitingCount).toBe(kept);
      expect(log.tailStart(0)).toBeUndefined();
      expect(takeAll(log).length).toBe(kept);
      expect(log.tailStart(15)).toBe(kept > 1 ? sequence - 1 : undefined);
      expect(budget.usedBytes).toBe(kept * 10);
    }
    append(log, 501, bytes(LIMIT), true, false);
    takeAll(log);
    append(log, 502, bytes(LIMIT + 1), true, false);
    takeAll(log);
    log.settle();
    expect(log.events).toEqual([]);
    expect(budget.usedBytes).toBe(0);
  });

  test('a single event larger than the limit is given up once it has had time to arrive', () => {
    const { log, budget } = newLog();
    append(log, 1, bytes(500), false, false);
    takeAll(log);
    log.settle();
    expect(log.retainedBytes).toBe(0);
    expect(budget.usedBytes).toBe(0);
    expect([0, 1].map((sequence) => log.canResumeAfter(sequence))).toEqual([false, true]);
  });

  test('settling never touches what waits', () => {
    const { log } = newLog();
    append(log, 1, bytes(500), false, false);
    log.settle();
    expect(takeAll(log)).toEqual(['x'.repeat(500)]);
  });
});

describe('a client that is away', () => {
  test('loses notifications first, oldest first, and no response', () => {
    const { log } = newLog();
    expect(append(log, 1, bytes(40, 'r'), false, true)).toBe(true);
    for (let sequence = 2; sequence < 20; sequence += 1) {
      expect(append(log, sequence, Buffer.from(`notification-${sequence}`), true, true)).toBe(true);
    }
    expect(append(log, 20, bytes(40, 's'), false, true)).toBe(true);
    expect(takeAll(log)).toEqual(['r'.repeat(40), 'notification-19', 's'.repeat(40)]);
    expect(log.retainedBytes).toBeLessThanOrEqual(LIMIT);
  });

  test('a response that no longer fits is told, never dropped in silence', () => {
    const { log } = newLog();
    expect(append(log, 1, bytes(60), false, true)).toBe(true);
    expect(append(log, 2, bytes(60), false, true)).toBe(false);
  });

  test('a single event larger than the limit may wait alone', () => {
    const { log } = newLog();
    expect(append(log, 1, bytes(5000), false, true)).toBe(true);
    expect(takeAll(log)).toEqual(['x'.repeat(5000)]);
  });

  test('may have missed what was given last, so a flood of notifications does not push it out', () => {
    const { log } = newLog();
    append(log, 1, bytes(10, 'a'), false, false);
    append(log, 2, bytes(30, 'b'), false, false);
    takeAll(log);
    for (let sequence = 3; sequence < 100; sequence += 1) append(log, sequence, bytes(20, 'n'), true, true);
    expect(log.canResumeAfter(1)).toBe(true);
    log.rewindTo(1);
    expect(takeAll(log)[0]).toBe('b'.repeat(30));
  });
});

describe('the budget of all streams', () => {
  test('once full, nothing is kept of what was given, and those who wait lose nothing', () => {
    const budget = new BufferBudget(200);
    const greedy = new ReplayLog(1000, budget, 0);
    append(greedy, 1, bytes(250), false, false);
    takeAll(greedy);
    expect(budget.isFull).toBe(true);
    expect(budget.isExceeded).toBe(false);
    const away = new ReplayLog(LIMIT, budget, 0);
    expect(append(away, 1, bytes(30), false, true)).toBe(true);
    expect(append(away, 2, bytes(30), false, true)).toBe(true);
    append(greedy, 2, bytes(10), false, false);
    expect(greedy.canResumeAfter(0)).toBe(false);
    expect(budget.usedBytes).toBe(70);
  });

  test('past it, a stream may hold one event and no more', () => {
    const budget = new BufferBudget(10);
    const log = new ReplayLog(LIMIT, budget, 0);
    expect(append(log, 1, bytes(20), false, true)).toBe(true);
    expect(append(log, 2, bytes(20), false, true)).toBe(false);
  });

  test('is given back to the last byte', () => {
    const { log, budget } = newLog();
    append(log, 1, bytes(30), false, false);
    append(log, 2, bytes(30), true, true);
    log.next?.toString();
    log.advance();
    log.rewindTo(0);
    log.clear();
    expect(budget.usedBytes).toBe(0);
    expect(budget.isExceeded).toBe(false);
  });
});

type Step = { do: 'append'; size: number; isNotification: boolean } | { do: 'take' } | { do: 'cut' } | { do: 'resume' };

test('whatever happens, a client that can resume gets every response once and everything in order', () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      do: fc.constant('append' as const),
      size: fc.integer({ min: 1, max: 60 }),
      isNotification: fc.boolean(),
    }),
    fc.constant({ do: 'take' as const }),
    fc.constant({ do: 'cut' as const }),
    fc.constant({ do: 'resume' as const }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.nat({ max: 3 }), (steps, lost) => {
      const budget = new BufferBudget(100_000);
      const log = new ReplayLog(LIMIT, budget, 0);
      const responses: number[] = [];
      const seen: number[] = [];
      let sequence = 0;
      let isAway = false;
      const take = () => {
        const event = log.next;
        if (event === undefined) return;
        seen.push(event.readUInt16BE());
        log.advance();
      };
      for (const each of steps) {
        if (each.do === 'append') {
          sequence += 1;
          const event = Buffer.alloc(each.size + 2);
          event.writeUInt16BE(sequence);
          if (!each.isNotification) responses.push(sequence);
          if (!append(log, sequence, event, each.isNotification, isAway)) return;
        } else if (each.do === 'take' && !isAway) take();
        else if (each.do === 'cut' && !isAway) {
          isAway = true;
          seen.splice(Math.max(0, seen.length - lost));
        } else if (each.do === 'resume' && isAway) {
          const last = seen.at(-1) ?? 0;
          if (!log.canResumeAfter(last)) return;
          log.rewindTo(last);
          isAway = false;
        }
      }
      if (isAway) {
        if (!log.canResumeAfter(seen.at(-1) ?? 0)) return;
        log.rewindTo(seen.at(-1) ?? 0);
      }
      while (log.next !== undefined) take();
      expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b));
      expect(seen.filter((each) => responses.includes(each))).toEqual(responses);
      log.clear();
      expect(budget.usedBytes).toBe(0);
    }),
    { numRuns: 2000 },
  );
});
