import { beforeEach, describe, expect, test } from 'vitest';
import { readJournal } from '../../../../src/cluster/read-journal.js';
import { TimerWheel } from '../../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../../src/downstream/buffer-budget.js';
import { SessionStreams } from '../../../../src/downstream/session-streams.js';
import { Fence } from '../../../../src/gateway/replicas/fence.js';
import { reclaim } from '../../../../src/gateway/replicas/reclaim.js';
import {
  type CopiedSession,
  SessionCopies,
  type SessionCopy,
  sessionKey,
} from '../../../../src/gateway/replicas/session-copies.js';
import { decodeState, type SessionState } from '../../../../src/gateway/replicas/session-state.js';
import { errorResponse } from '../../../../src/protocol/json-rpc.js';
import type { DownstreamKind } from '../../../../src/protocol/transport.js';
import { SessionRecord } from '../../../../src/session/session-record.js';
import { MemoryDirectory, MemoryJournals, testSealer } from '../../../helpers/memory-replication.js';
import { delay } from '../../../helpers/wait.js';
import { ALICE } from '../support.js';

const OPTIONS = { resumeGraceMs: 60_000, idleTimeoutMs: 5000, ttlMs: 3_600_000 };
const sealer = testSealer();

let nowMs: number;
let journals: MemoryJournals;
let directory: MemoryDirectory;
let copies: SessionCopies;

beforeEach(() => {
  nowMs = 0;
  journals = new MemoryJournals();
  directory = new MemoryDirectory('me', new Map(), journals);
  const clock = { now: () => nowMs, wallTimeMs: () => nowMs };
  copies = new SessionCopies({ directory, journals, sealer, clock, fence: new Fence(), options: OPTIONS });
});

interface Fake extends CopiedSession {
  state: SessionState | undefined;
  forsaken: number;
}

function session(id: string, kind: DownstreamKind = 'streamable-http', epoch = 1): Fake {
  const timers = new TimerWheel(100, 64, { now: () => 0, wallTimeMs: () => 0 });
  const options = { timers, budget: new BufferBudget(1_000_000), bufferBytes: 10_000 };
  const listener = { detached: () => {}, attached: () => {}, pressed: () => {}, close: () => {} };
  const handshake = { initialize: 'hello', state: [] };
  const upstream = {
    handshake,
    protocolVersion: '2025-06-18',
    kind: 'sse',
    sessionId: undefined,
    server: 's',
  } as const;
  const fake: Fake = {
    record: new SessionRecord(id, kind, ALICE, 0, { openedAtMs: 0, epoch }),
    streams: new SessionStreams(id, options, listener),
    state: { kind, openedAtMs: 0, upstream, client: undefined },
    forsaken: 0,
    forsake: () => {
      fake.forsaken += 1;
      copy.forget();
    },
  };
  const copy: SessionCopy = copies.begin(fake);
  return fake;
}

const keyOf = ({ record }: CopiedSession) => sessionKey(record.id);
const left = (fake: Fake) => readJournal(journals.entriesOf(keyOf(fake)), sealer, keyOf(fake), false);

let isYoung = false;

describe('a session', () => {
  test('is written down from its beginning on, under a name that does not open it', () => {
    const fake = session('the id of the session');
    const stored = directory.sessions.get(keyOf(fake));
    expect(keyOf(fake)).not.toContain('the id');
    expect(stored).toMatchObject({ owner: 'me', epoch: 1 });
    expect(stored?.state.includes('hello')).toBe(false);
    const plain = sealer.open(stored?.state ?? Buffer.alloc(0), keyOf(fake));
    expect(decodeState(plain ?? Buffer.alloc(0))).toMatchObject({ kind: 'streamable-http', upstream: { kind: 'sse' } });
  });

  test('with what it had said before', () => {
    const fake = session('a');
    fake.streams.general.send(errorResponse(1, { code: 1, message: 'said' }));
    expect(left(fake).streams).toEqual(fake.streams.snapshots);
  });

  test('that could not go on elsewhere is not', () => {
    const fake = session('a');
    directory.sessions.clear();
    fake.state = undefined;
    const [copy] = copies.all;
    copy?.save();
    expect(directory.sessions.size).toBe(0);
  });

  test('that is over leaves nothing and is not written again', async () => {
    session('a');
    copies.all[0]?.remove();
    expect(directory.sessions.size).toBe(0);
    expect(copies.all).toEqual([]);
    await copies.writeAllAnew();
    expect(directory.sessions.size).toBe(0);
  });

  test('that is over while the memory is away is removed when it is back', async () => {
    session('a');
    directory.isAway = true;
    copies.all[0]?.remove();
    expect(directory.sessions.size).toBe(1);
    await copies.mend();
    expect(directory.sessions.size).toBe(1);
    directory.isAway = false;
    await copies.mend();
    expect(directory.sessions.size).toBe(0);
  });

  test('that is let go of is whole, and no longer its former owner’s to write', async () => {
    const fake = session('a');
    journals.isFull = true;
    fake.streams.general.send(errorResponse(1, { code: 1, message: 'said' }));
    journals.isFull = false;
    await copies.all[0]?.release();
    expect(left(fake).streams).toEqual(fake.streams.snapshots);
    expect(directory.sessions.get(keyOf(fake))?.owner).toBe('');
    expect(copies.all).toEqual([]);
  });

  test('that is let go of takes along what is otherwise too large to be written down', async () => {
    const fake = session('a');
    fake.streams.general.send(errorResponse(1, { code: 1, message: 'x'.repeat(100_000) }));
    expect(left(fake).streams[0]?.events[0]?.bytes).toBeUndefined();
    await copies.all[0]?.release();
    expect(left(fake).streams).toEqual(fake.streams.snapshots);
  });

  test('that cannot be let go of stays', async () => {
    session('a');
    directory.isAway = true;
    await expect(copies.all[0]?.release()).rejects.toThrow();
    expect(copies.all.length).toBe(1);
  });
});

describe('what could not be written', () => {
  test('is written when it is looked at again, and only that', async () => {
    const [torn, whole] = [session('torn'), session('whole')];
    journals.isFull = true;
    torn.streams.general.send(errorResponse(1, { code: 1, message: 'said' }));
    await copies.mend();
    journals.isFull = false;
    directory.log.length = 0;
    await copies.mend();
    expect(left(torn).streams).toEqual(torn.streams.snapshots);
    expect(directory.log).toEqual([`save ${keyOf(torn)} 1`]);
    await copies.mend();
    expect(directory.log.length).toBe(1);
    expect(left(whole).streams).toEqual([]);
  });

  test('is written when the memory has lost everything', async () => {
    const fakes = Array.from({ length: 120 }, (_, index) => session(`session ${index}`));
    directory.sessions.clear();
    await copies.writeAllAnew();
    expect(directory.sessions.size).toBe(fakes.length);
  });

  test('as a new state of a session is not forgotten', async () => {
    const fake = session('a');
    const [copy] = copies.all;
    directory.isFull = true;
    if (fake.state !== undefined) fake.state = { ...fake.state, openedAtMs: 77 };
    copy?.save();
    directory.isFull = false;
    await copies.mend();
    const plain = sealer.open(directory.sessions.get(keyOf(fake))?.state ?? Buffer.alloc(0), keyOf(fake));
    expect(decodeState(plain ?? Buffer.alloc(0))?.openedAtMs).toBe(77);
  });
});

describe('a copy lives', () => {
  const touchedFor = (fake: Fake): number => Number(directory.log.at(-1)?.replace(`touch ${keyOf(fake)} `, ''));

  test('as long as its session may', async () => {
    const fake = session('a');
    nowMs = 3_000_000;
    await copies.touch();
    expect(touchedFor(fake)).toBe(600_000);
    nowMs = 4_000_000;
    await copies.touch();
    expect(touchedFor(fake)).toBe(1000);
  });

  test('not long after its replica, when its client would have to be there all the time', async () => {
    const fake = session('a', 'sse');
    await copies.touch();
    expect(touchedFor(fake)).toBe(2 * 60_000 + 600_000);
  });
});

describe('a session that another replica has taken', () => {
  const reclaimed = (isNothingTaken = async () => false): Promise<number> =>
    reclaim({ copies, directory, isMemoryYoung: () => isYoung, isNothingTaken });

  test('is forsaken, and only under the epoch that was overtaken', () => {
    const [former, other] = [session('a'), session('b')];
    copies.taken({ key: keyOf(former), epoch: 3 });
    expect(former.forsaken).toBe(0);
    copies.taken({ key: keyOf(former), epoch: 1 });
    expect([former.forsaken, other.forsaken]).toEqual([1, 0]);
    copies.taken({ key: keyOf(former), epoch: 1 });
    expect(former.forsaken).toBe(1);
  });

  test('is given up when it is not written down any more, unless it may just not be yet', async () => {
    const fake = session('a');
    directory.sessions.clear();
    isYoung = true;
    expect(await reclaimed()).toBe(0);
    isYoung = false;
    expect(await reclaimed()).toBe(1);
    expect(fake.forsaken).toBe(1);
  });

  test('is found by asking, among many', async () => {
    const fakes = Array.from({ length: 450 }, (_, index) => session(`session ${index}`));
    const other = new MemoryDirectory('other', directory.sessions, journals);
    for (const index of [0, 199, 200, 449]) await other.take(keyOf(fakes[index] as Fake), 1);
    directory.log.length = 0;
    expect(await reclaimed()).toBe(4);
    expect(directory.log).toEqual(['areOwned 200', 'areOwned 200', 'areOwned 50']);
    expect(fakes.flatMap(({ forsaken }, index) => (forsaken > 0 ? [index] : []))).toEqual([0, 199, 200, 449]);
    expect(copies.all.length).toBe(446);
  });

  test('is not given up while nobody can know: it is asked until there is an answer', async () => {
    const fake = session('a');
    await new MemoryDirectory('other', directory.sessions, journals).take(keyOf(fake), 1);
    directory.isAway = true;
    const reclaiming = reclaimed();
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(fake.forsaken).toBe(0);
    directory.isAway = false;
    expect(await reclaiming).toBe(1);
    expect(fake.forsaken).toBe(1);
  });

  test('is none when the memory is away and all other replicas say so, which may take long to find out', async () => {
    const fakes = [session('a'), session('b')];
    directory.isAway = true;
    let asked = 0;
    const answers = [false, false, true];
    const isNothingTaken = async (): Promise<boolean> => {
      asked += 1;
      await delay(asked === 2 ? 250 : 0);
      return answers[asked - 1] ?? true;
    };
    expect(await reclaimed(isNothingTaken)).toBe(0);
    expect(asked).toBe(3);
    expect(fakes.map(({ forsaken }) => forsaken)).toEqual([0, 0]);
  });

  test('is not asked for among others once one is known to be taken', async () => {
    const fakes = Array.from({ length: 201 }, (_, index) => session(`session ${index}`));
    await new MemoryDirectory('other', directory.sessions, journals).take(keyOf(fakes[0] as Fake), 1);
    const areOwned = directory.areOwned.bind(directory);
    directory.areOwned = (owned) => {
      const answer = areOwned(owned);
      directory.isAway = true;
      return answer;
    };
    const reclaiming = reclaimed(async () => true);
    await delay(250);
    expect(fakes.filter(({ forsaken }) => forsaken > 0).length).toBe(1);
    directory.areOwned = areOwned;
    directory.isAway = false;
    expect(await reclaiming).toBe(1);
  });

  test('is none that a question which fails says nothing about', async () => {
    session('a');
    directory.isAway = true;
    let asked = 0;
    const isNothingTaken = async () => {
      asked += 1;
      if (asked < 3) throw new Error('cannot be sent');
      return true;
    };
    expect(await reclaimed(isNothingTaken)).toBe(0);
    expect(asked).toBe(3);
  });

  test('is found as soon as the memory answers, also while a replica is waited for', async () => {
    const fake = session('a');
    await new MemoryDirectory('other', directory.sessions, journals).take(keyOf(fake), 1);
    directory.isAway = true;
    const reclaiming = reclaimed(() => new Promise(() => {}));
    directory.isAway = false;
    expect(await reclaiming).toBe(1);
  });
});
