import { beforeEach, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../../src/cluster/fleet.js';
import type { LeftSession } from '../../../../src/cluster/read-journal.js';
import type { StoredSession } from '../../../../src/cluster/session-directory.js';
import { SessionJournal } from '../../../../src/cluster/session-journal.js';
import { encodeState, type SessionState } from '../../../../src/gateway/replicas/session-state.js';
import { Takeover, type WantedSession } from '../../../../src/gateway/replicas/takeover.js';
import { SessionUnknownError } from '../../../../src/protocol/session-errors.js';
import { MemoryDirectory, MemoryJournals, testSealer } from '../../../helpers/memory-replication.js';
import { RecordingLogger } from '../../../helpers/start-gateway.js';
import { ALICE } from '../support.js';

const KEY = 'key';
const WANTED: WantedSession = { id: 'the id', key: KEY, prefix: 'sumit', principal: ALICE };
const STATE: SessionState = {
  kind: 'sse',
  openedAtMs: 5,
  client: undefined,
  upstream: {
    handshake: { initialize: '{}', state: [] },
    protocolVersion: '2025-06-18',
    kind: 'sse',
    sessionId: undefined,
    server: 's',
  },
};
const sealer = testSealer();

let nowMs: number;
let directory: MemoryDirectory;
let journals: MemoryJournals;
let taken: { id: string; epoch: number; left: LeftSession }[];
let takenCount: number;
let isLeased: boolean;
let isThere: boolean;
let mayTake: boolean;
let asked: string[];
let refusal: Error | undefined;
let takeover: Takeover;

beforeEach(() => {
  nowMs = 0;
  taken = [];
  takenCount = 0;
  asked = [];
  isLeased = false;
  isThere = false;
  mayTake = true;
  refusal = undefined;
  journals = new MemoryJournals();
  directory = new MemoryDirectory('me', new Map(), journals);
  const fleet = {
    isLeased: async (id: string) => {
      asked.push(`lease of ${id}`);
      return isLeased;
    },
  };
  takeover = new Takeover({
    directory,
    journals,
    sealer,
    fleet: fleet as unknown as Fleet,
    clock: { now: () => nowMs, wallTimeMs: () => nowMs },
    logger: new RecordingLogger(),
    mayTake: () => mayTake,
    isThere: async (id) => {
      asked.push(`ping of ${id}`);
      return isThere;
    },
    serves: (prefix) => prefix === WANTED.prefix,
    goOn: (_prefix, id, _principal, epoch, _state, left) => {
      if (refusal !== undefined) throw refusal;
      taken.push({ id, epoch, left });
    },
    onTaken: () => {
      takenCount += 1;
    },
  });
});

function store(owner = 'gone', state = sealer.seal(encodeState(STATE), KEY)): StoredSession {
  const stored = { owner, epoch: 3, state };
  directory.sessions.set(KEY, stored);
  return stored;
}

describe('an owner is gone', () => {
  test('when its lease is over and its listener does not answer', async () => {
    expect(await takeover.fateOf('b')).toBe('gone');
    expect(asked).toEqual(['lease of b', 'ping of b']);
  });

  test('not while its lease holds, and nobody asks it', async () => {
    isLeased = true;
    expect(await takeover.fateOf('b')).toBe('unsure');
    expect(asked).toEqual(['lease of b']);
  });

  test('not while it answers', async () => {
    isThere = true;
    expect(await takeover.fateOf('b')).toBe('there');
  });

  test('not for a memory that has not been there for long enough to know', async () => {
    mayTake = false;
    expect(await takeover.fateOf('b')).toBe('unsure');
    expect(asked).toEqual([]);
  });

  test('is asked once for all sessions of it, and again soon', async () => {
    await Promise.all([takeover.fateOf('b'), takeover.fateOf('b'), takeover.fateOf('c')]);
    expect(asked.filter((each) => each === 'ping of b').length).toBe(1);
    nowMs += 1000;
    isThere = true;
    expect(await takeover.fateOf('b')).toBe('there');
  });
});

describe('a session is taken', () => {
  test('with all that was left, under the next epoch', async () => {
    const stored = store();
    let sequence = 10;
    const former = new SessionJournal({ key: KEY, epoch: 3 }, journals, sealer, {
      nextSequence: () => (sequence += 1),
    });
    former.opened(0, true, []);
    former.asked({ id: 'due', isToolCall: true });
    expect(await takeover.take(WANTED, stored)).toBe('taken');
    expect(taken).toMatchObject([{ id: 'the id', epoch: 4 }]);
    expect(taken[0]?.left.unanswered).toEqual([{ id: 'due', isToolCall: true }]);
    expect(taken[0]?.left.streams).toMatchObject([{ openedAt: 0, isGeneral: true, isOnlyStream: true }]);
    expect(directory.sessions.get(KEY)).toMatchObject({ owner: 'me', epoch: 4 });
    expect(takenCount).toBe(1);
  });

  test('with a word in the place of an answer that was too large to be left', async () => {
    const stored = store();
    const former = new SessionJournal({ key: KEY, epoch: 3 }, journals, sealer, { nextSequence: () => 0 });
    const facts = { bytes: Buffer.alloc(70_000, 'x'), isNotification: false };
    former.opened(0, true, []);
    former.said(0, true, { ...facts, sequence: 1, answers: 'large' }, false);
    former.said(0, true, { ...facts, sequence: 2, answers: undefined, isNotification: true }, false);
    await takeover.take(WANTED, stored);
    const [answer, notification] = taken[0]?.left.streams[0]?.events ?? [];
    expect(answer?.bytes?.toString()).toContain('id: the id.1\n');
    expect(answer?.bytes?.toString()).toContain('"id":"large","error"');
    expect(notification).toMatchObject({ sequence: 2, bytes: undefined });
  });

  test('once, however many ask at the same time', async () => {
    const stored = store('');
    const results = await Promise.all(Array.from({ length: 20 }, () => takeover.take(WANTED, stored)));
    expect(new Set(results)).toEqual(new Set(['taken']));
    expect(taken.length).toBe(1);
    expect(directory.log.filter((each) => each.startsWith('take')).length).toBe(1);
  });

  test('by the one who was faster: the other waits', async () => {
    const stored = store();
    await new MemoryDirectory('other', directory.sessions, journals).take(KEY, 3);
    expect(await takeover.take(WANTED, stored)).toBe('wait');
    expect(taken).toEqual([]);
    expect(takenCount).toBe(0);
  });

  test('by nobody who does not have its route', async () => {
    expect(await takeover.take({ ...WANTED, prefix: 'removed' }, store())).toBe('void');
    expect(directory.sessions.get(KEY)).toMatchObject({ owner: 'gone', epoch: 3 });
    expect(taken).toEqual([]);
  });

  test('by nobody who cannot open it', async () => {
    expect(await takeover.take(WANTED, store('gone', testSealer('other').seal(encodeState(STATE), KEY)))).toBe('void');
    expect(await takeover.take(WANTED, store('gone', sealer.seal(encodeState(STATE), 'another key')))).toBe('void');
    expect(await takeover.take(WANTED, store('gone', sealer.seal(Buffer.from('{"v":2}'), KEY)))).toBe('void');
    expect(directory.sessions.get(KEY)).toMatchObject({ owner: 'gone', epoch: 3 });
  });

  test('at the second try when the memory went away in the middle', async () => {
    const stored = store();
    journals.isAway = true;
    await expect(takeover.take(WANTED, stored)).rejects.toThrow();
    journals.isAway = false;
    const now = await directory.load(KEY);
    expect(now?.owner).toBe('me');
    expect(await takeover.take(WANTED, now ?? stored)).toBe('taken');
    expect(taken.map(({ epoch }) => epoch)).toEqual([5]);
  });

  test('by nobody when its time is up: then there is no such session', async () => {
    refusal = new SessionUnknownError();
    expect(await takeover.take(WANTED, store())).toBe('void');
    expect(takenCount).toBe(0);
  });
});

describe('an owner that stood still is told', () => {
  const FROM_B = 60_000;
  const take = (stored: StoredSession) => takeover.take(WANTED, stored);

  test('that nothing was taken of it when nothing was', () => {
    expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(false);
  });

  test.each(['c', ''])(
    'that something may have been when another session was, of %j, who may have had it from the owner',
    async (owner) => {
      await take(store(owner));
      expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(true);
    },
  );

  test('that something was, as long ago as it asks for', async () => {
    await take(store('b'));
    nowMs += 5000;
    expect(takeover.mayHaveTakenFrom('b', 4999)).toBe(false);
    expect(takeover.mayHaveTakenFrom('b', 5000)).toBe(true);
  });

  test('that something may be just now', async () => {
    let resolve = (_taken: boolean): void => {};
    directory.take = () => new Promise((settle) => (resolve = settle));
    const taking = take(store('b'));
    expect(takeover.mayHaveTakenFrom('b', 0)).toBe(true);
    resolve(false);
    expect(await taking).toBe('wait');
    // Another was faster, who is asked as well.
    expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(false);
  });

  test('that something may have been, when the memory did not say', async () => {
    directory.take = () => Promise.reject(new Error('away'));
    await expect(take(store('b'))).rejects.toThrow('away');
    expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(true);
  });

  test('and is not found gone by a question that was still open when it asked', async () => {
    const fate = takeover.fateOf('b');
    expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(false);
    expect(await fate).toBe('there');
    nowMs += 1000;
    expect(await takeover.fateOf('b')).toBe('gone');
  });

  test('and is not found gone by what was seen before it asked', async () => {
    expect(await takeover.fateOf('b')).toBe('gone');
    isThere = true;
    expect(takeover.mayHaveTakenFrom('b', FROM_B)).toBe(false);
    expect(await takeover.fateOf('b')).toBe('there');
  });
});
