import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Member } from '../../../../src/cluster/fleet.js';
import { PeerWatch } from '../../../../src/gateway/replicas/peer-watch.js';
import { RecordingLogger } from '../../../helpers/start-gateway.js';

const member = (id: string): Member => ({ id, hash: id, address: `http://${id}`, version: '1', isDraining: false });
const b = member('b');

let live: Set<string>;
let known: Map<string, Member>;
let awaited: string[];
let awayMs: number;
let mayGuess: boolean;
let pausedMs: number;
/** Answers of b, one after the other; then the last one for ever. */
let answers: boolean[];
let asked: number;
let givenUp: number;
let logger: RecordingLogger;
let watch: PeerWatch;

beforeEach(() => {
  vi.useFakeTimers();
  live = new Set(['b']);
  known = new Map([['b', b]]);
  awaited = [];
  awayMs = 0;
  mayGuess = true;
  pausedMs = 0;
  answers = [false];
  asked = 0;
  givenUp = 0;
  logger = new RecordingLogger();
  watch = new PeerWatch({
    fleet: { find: (id) => known.get(id), isLive: (id) => live.has(id) },
    peers: {
      get awaited() {
        return awaited;
      },
      giveUp: () => void (givenUp += 1),
      isThere: async () => {
        asked += 1;
        return (answers.length > 1 ? answers.shift() : answers[0]) === true;
      },
    },
    memoryAwayMs: () => awayMs,
    mayGuess: () => mayGuess,
    pause: async (ms) => void (pausedMs += ms),
    logger,
  });
});
afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

describe('a replica whose heartbeat stopped', () => {
  test('is given up when it does not answer', async () => {
    live.clear();
    await watch.vanished([b]);
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([1, 1, true]);
    // Nobody waited for it: it may have stopped in good order.
    expect(logger.lines).toEqual([]);
  });

  test('is not, when it answers, or is back when its silence is noticed', async () => {
    live.clear();
    answers = [true];
    await watch.vanished([b]);
    answers = [false];
    live.add('b');
    await watch.vanished([b]);
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([2, 0, false]);
  });
});

describe('a replica that something is expected of', () => {
  beforeEach(() => {
    awaited = ['b'];
    watch.start();
  });
  const look = () => vi.advanceTimersByTimeAsync(1000);

  test('is not asked while its heartbeat arrives', async () => {
    await look();
    expect(asked).toBe(0);
  });

  test('is asked without one, twice before it is given up, and then now and then until it answers', async () => {
    live.clear();
    await look();
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([2, 1, true]);
    expect(pausedMs).toBe(500);
    awaited = [];
    await look();
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([4, 2, true]);
    answers = [false, true];
    await look();
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([6, 2, false]);
    await look();
    expect(asked).toBe(6);
    expect(logger.lines.filter(({ event }) => event === 'replica_silent')).toHaveLength(1);
  });

  test('is asked while the memory is away, however it was before', async () => {
    awayMs = 10;
    await look();
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([2, 1, true]);
    // Back, and so is the heartbeat.
    awayMs = 0;
    await look();
    expect([asked, givenUp, watch.isSilent('b')]).toEqual([2, 1, false]);
  });

  test('is not asked any more once heartbeats tell, and nothing is expected of it', async () => {
    live.clear();
    await look();
    awaited = [];
    mayGuess = false;
    const before = asked;
    await look();
    expect([asked, watch.isSilent('b')]).toEqual([before, false]);
  });

  test('is forgotten with the replica', async () => {
    live.clear();
    await look();
    awaited = [];
    known.clear();
    await look();
    expect([asked, watch.isSilent('b')]).toEqual([2, false]);
  });

  test('nobody is asked when nothing is expected of anybody', async () => {
    live.clear();
    awaited = [];
    await look();
    expect(asked).toBe(0);
  });
});
