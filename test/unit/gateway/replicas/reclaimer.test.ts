import { beforeEach, expect, test, vi } from 'vitest';
import { Fence } from '../../../../src/gateway/replicas/fence.js';
import { Reclaimer } from '../../../../src/gateway/replicas/reclaimer.js';
import type { SessionCopies, SessionCopy } from '../../../../src/gateway/replicas/session-copies.js';
import { MemoryDirectory, MemoryJournals } from '../../../helpers/memory-replication.js';
import { RecordingLogger } from '../../../helpers/start-gateway.js';

let nowMs: number;
let forsaken: number;
let directory: MemoryDirectory;
/** Whether nothing was taken, one answer after the other; then the last one for ever. */
let answers: boolean[];
let askedMs: number[];
let onAnswer: (() => void) | undefined;
let logger: RecordingLogger;
let fence: Fence;
let reclaimer: Reclaimer;

beforeEach(async () => {
  nowMs = 10_000;
  forsaken = 0;
  directory = new MemoryDirectory('me', new Map(), new MemoryJournals());
  directory.save({ key: 'a', epoch: 1 }, Buffer.from('state'));
  answers = [true];
  askedMs = [];
  onAnswer = undefined;
  logger = new RecordingLogger();
  fence = new Fence();
  const copy = { owned: { key: 'a', epoch: 1 }, session: { forsake: () => void (forsaken += 1) } };
  reclaimer = new Reclaimer({
    copies: { all: [copy as unknown as SessionCopy] } as unknown as SessionCopies,
    directory,
    fence,
    clock: { now: () => nowMs, wallTimeMs: () => nowMs },
    logger,
    isMemoryYoung: () => false,
    isNothingTaken: async (ms) => {
      askedMs.push(ms);
      return (answers.length > 1 ? answers.shift() : answers[0]) === true;
    },
    checkAwake: () => {
      const act = onAnswer;
      onAnswer = undefined;
      act?.();
    },
  });
});

const settled = () => vi.waitFor(() => expect(fence.isOpen).toBe(true), 5000);

test('the fence is shut until the memory has answered', async () => {
  reclaimer.doubt(9000);
  expect(fence.isOpen).toBe(false);
  await settled();
  expect([forsaken, askedMs]).toEqual([0, []]);
});

test('what others took is lost, and said so', async () => {
  await new MemoryDirectory('other', directory.sessions, new MemoryJournals()).take('a', 1);
  reclaimer.doubt(9000);
  await settled();
  expect(forsaken).toBe(1);
  expect(logger.lines.map(({ event }) => event)).toEqual(['sessions_lost']);
});

test('without the memory the others are asked, about all the time since the first doubt', async () => {
  directory.isAway = true;
  answers = [false, true];
  reclaimer.doubt(9000);
  nowMs = 12_000;
  reclaimer.doubt(11_500);
  await settled();
  // Once more: the second doubt came before there was an answer.
  expect(askedMs.at(0)).toBeGreaterThanOrEqual(1000);
  expect(askedMs.at(-1)).toBe(3000);
  expect(logger.lines.map(({ event }) => event)).toContain('reclaimed_without_store');
});

test('an answer from before another pause is worth nothing', async () => {
  directory.isAway = true;
  onAnswer = () => reclaimer.doubt(11_000);
  reclaimer.doubt(9000);
  await settled();
  expect(askedMs.length).toBe(2);
  reclaimer.doubt(13_000);
  expect(fence.isOpen).toBe(false);
  nowMs = 14_000;
  await settled();
  expect(askedMs.length).toBe(3);
});

test('a failure of the asking is no reason to stay shut', async () => {
  const areOwned = directory.areOwned.bind(directory);
  directory.areOwned = () => Promise.resolve(undefined as never);
  reclaimer.doubt(9000);
  await vi.waitFor(() => expect(logger.lines.map(({ event }) => event)).toContain('reclaim_failed'));
  expect(fence.isOpen).toBe(false);
  directory.areOwned = areOwned;
  await settled();
});
