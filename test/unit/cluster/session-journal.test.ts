/** What is written down while streams speak is what another replica reads: the streams as they were, and the answers that are due. */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type LeftSession, readJournal } from '../../../src/cluster/read-journal.js';
import { MAX_KEPT_BYTES, SessionJournal } from '../../../src/cluster/session-journal.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';
import { BufferBudget } from '../../../src/downstream/buffer-budget.js';
import type { EventStream } from '../../../src/downstream/event-stream.js';
import { SessionStreams } from '../../../src/downstream/session-streams.js';
import { withoutLostEvents } from '../../../src/gateway/replicas/continued-session.js';
import { errorResponse, ownNotification } from '../../../src/protocol/json-rpc.js';
import type { StreamEvent, StreamSnapshot } from '../../../src/protocol/stream-journal.js';
import { Turn } from '../../../src/redis/turn.js';
import { MemoryJournals, testSealer } from '../../helpers/memory-replication.js';

const KEY = 'key';
const TTL_MS = 1000;
const LISTENER = { detached: () => {}, attached: () => {}, pressed: () => {}, close: () => {} };

/** A connection that takes everything at once. */
class GreedyResponse extends EventEmitter {
  writableNeedDrain = false;
  written = '';

  write(bytes: Buffer | string): boolean {
    this.written += bytes.toString();
    return true;
  }

  end(): void {}

  destroy(): void {
    this.emit('close');
  }

  get sequences(): number[] {
    return [...this.written.matchAll(/^id: session\.(\d+)$/gm)].map(([, sequence]) => Number(sequence));
  }
}

const sealer = testSealer();
let journals: MemoryJournals;
let streams: SessionStreams;
let journal: SessionJournal;

function newStreams(bufferBytes = 100_000_000): SessionStreams {
  const timers = new TimerWheel(100, 64, { now: () => 0, wallTimeMs: () => 0 });
  const budget = new BufferBudget(1_000_000_000);
  return new SessionStreams('session', { timers, budget, bufferBytes }, LISTENER);
}

function newJournal(epoch = 1): SessionJournal {
  return new SessionJournal({ key: KEY, epoch }, journals, sealer, streams);
}

beforeEach(() => {
  journals = new MemoryJournals();
  streams = newStreams();
  journal = newJournal();
});

function attach(stream: EventStream, after?: number): GreedyResponse {
  const response = new GreedyResponse();
  stream.attach(response as unknown as ServerResponse, after);
  return response;
}

function read(hasOneStream = false): LeftSession {
  return readJournal(journals.entriesOf(KEY), sealer, KEY, hasOneStream);
}

function restored(left = read(true)): SessionStreams {
  const next = newStreams();
  next.restore(
    left.streams.map((stream) => withoutLostEvents(stream, 'session')),
    left.nextSequence,
  );
  return next;
}

const note = (bytes: number) => ownNotification('notifications/message', { data: 'x'.repeat(bytes) });
const answer = (id: string | number, bytes = 10) => errorResponse(id, { code: 1, message: 'x'.repeat(bytes) });

/** As another replica can know it: without what is too large. */
function known(snapshot: StreamSnapshot): StreamSnapshot {
  const events = snapshot.events.map((event: StreamEvent) => ({
    ...event,
    bytes: event.bytes === undefined || event.bytes.length > MAX_KEPT_BYTES ? undefined : event.bytes,
  }));
  return { ...snapshot, events };
}

type Step =
  | { readonly do: 'note' | 'answer' | 'replyNote' | 'replyAnswer'; readonly bytes: number; readonly pick: number }
  | {
      readonly do: 'attach' | 'cut' | 'reply' | 'replyAttach' | 'finish' | 'ask' | 'cancel' | 'rewrite';
      readonly pick: number;
    };

/** What only a session does that is written down. */
const OF_JOURNAL: ReadonlySet<Step['do']> = new Set(['ask', 'cancel', 'rewrite']);

const pick = fc.nat({ max: 3 });
const sizes = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constant(MAX_KEPT_BYTES + 1));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('note', 'answer', 'replyNote', 'replyAnswer' as const), bytes: sizes, pick }),
  fc.record({
    do: fc.constantFrom('attach', 'cut', 'reply', 'replyAttach', 'finish', 'ask', 'cancel', 'rewrite' as const),
    pick,
  }),
);

/** Plays a session with few ids, so that they come again once they are answered, and before. */
class Player {
  readonly replies: EventStream[] = [];
  readonly due: number[] = [];
  #general: GreedyResponse | undefined;

  play(each: Step): void {
    const reply = this.replies[each.pick];
    switch (each.do) {
      case 'note':
        streams.general.send(note(each.bytes));
        return;
      case 'answer':
        streams.general.send(answer(each.pick, each.bytes));
        this.#settle(each.pick);
        return;
      case 'replyNote':
        reply?.send(note(each.bytes));
        return;
      case 'replyAnswer':
        reply?.send(answer(each.pick, each.bytes));
        return;
      case 'attach':
        this.#general = attach(streams.general);
        return;
      case 'cut':
        this.#general?.destroy();
        return;
      case 'reply':
        if (this.replies.length < 4) this.replies.push(streams.openReply([{ id: each.pick, isToolCall: true }]));
        return;
      case 'replyAttach':
        if (reply?.isFinished === false) attach(reply);
        return;
      case 'finish':
        reply?.finish();
        return;
      case 'ask':
        this.due.push(each.pick);
        journal.asked({ id: each.pick, isToolCall: each.pick % 2 === 0 });
        return;
      case 'cancel':
        journal.settled(each.pick);
        this.#settle(each.pick);
        return;
      case 'rewrite':
        journal.rewrite(streams.snapshots, TTL_MS);
    }
  }

  #settle(id: number): void {
    const index = this.due.lastIndexOf(id);
    if (index !== -1) this.due.splice(index, 1);
  }
}

describe('whatever a session says', () => {
  test('the next owner reads the streams as they were held, and what is due', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.array(step, { maxLength: 40, size: 'max' }),
        (before, after) => {
          journals = new MemoryJournals();
          streams = newStreams();
          journal = newJournal();
          const player = new Player();
          // What was said before anybody wrote it down is in the snapshots alone.
          for (const each of before) if (!OF_JOURNAL.has(each.do)) player.play(each);
          streams.keepJournal(journal);
          journal.rewrite(streams.snapshots, TTL_MS);
          for (const each of after) player.play(each);
          const appended = read();
          expect(appended.streams.toSorted(byOpening)).toEqual(streams.snapshots.map(known).toSorted(byOpening));
          expect(appended.unanswered.map(({ id }) => id)).toEqual(player.due);
          journal.rewrite(streams.snapshots, TTL_MS);
          const rewritten = read();
          expect(rewritten.streams.toSorted(byOpening)).toEqual(appended.streams.toSorted(byOpening));
          expect(rewritten.unanswered).toEqual(appended.unanswered);
        },
      ),
      { numRuns: 120 },
    );
  });

  test('entries are numbered in one growing order, whether appended or written anew', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        journals = new MemoryJournals();
        streams = newStreams();
        journal = newJournal();
        streams.keepJournal(journal);
        const player = new Player();
        for (const each of steps) player.play(each);
        const appended = journals.entriesOf(KEY).map(({ sequence }) => sequence);
        expect(appended).toEqual([...new Set(appended)].toSorted((one, other) => one - other));
        journal.rewrite(streams.snapshots, TTL_MS);
        const rewritten = journals.entriesOf(KEY).map(({ sequence }) => sequence);
        expect(rewritten).toEqual([...new Set(rewritten)].toSorted((one, other) => one - other));
      }),
    );
  });

  test('numbers of the next owner are above all that were given out, also after all was written anew', () => {
    streams.keepJournal(journal);
    for (let round = 0; round < 700; round += 1) {
      const reply = streams.openReply([{ id: round, isToolCall: true }]);
      for (let index = 0; index < 4; index += 1) reply.send(note(1));
      reply.finish();
      streams.drop(reply);
    }
    const highest = streams.nextSequence();
    expect(read().nextSequence).toBeGreaterThan(highest);
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(read().nextSequence).toBeGreaterThan(highest);
  });
});

function byOpening(one: StreamSnapshot, other: StreamSnapshot): number {
  return one.openedAt - other.openedAt;
}

describe('a client that comes back to the next owner', () => {
  test('goes on behind any event it has seen, and hears the rest once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), sizes), { minLength: 1, maxLength: 30 }), (said) => {
        journals = new MemoryJournals();
        streams = newStreams();
        journal = newJournal();
        streams.keepJournal(journal);
        const { general } = streams;
        const client = attach(general);
        for (const [isAnswer, size] of said) general.send(isAnswer ? answer(1, size) : note(size));
        const seen = [general.openedAt, ...client.sequences];
        for (const hasOneStream of [true, false]) {
          const next = restored(read(hasOneStream));
          const held = next.general.snapshot.events.flatMap(({ sequence, bytes }) => (bytes?.length ? [sequence] : []));
          for (const last of seen) {
            expect(next.general.canResumeAfter(last)).toBe(true);
            expect(attach(next.general, last).sequences).toEqual(held.filter((sequence) => sequence > last));
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('without saying where, is given what waited for it and nothing else', () => {
    streams.keepJournal(journal);
    const { general } = streams;
    const client = attach(general);
    general.send(note(1));
    client.destroy();
    general.send(note(MAX_KEPT_BYTES + 1));
    general.send(answer('kept'));
    const next = restored(read(false));
    expect(attach(next.general).sequences).toEqual([general.snapshot.events.at(-1)?.sequence]);
  });

  test('may be 64 KiB behind, however long the session has been speaking', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 130, maxLength: 300 }), (lengths) => {
        journals = new MemoryJournals();
        streams = newStreams();
        journal = newJournal();
        streams.keepJournal(journal);
        const { general } = streams;
        attach(general);
        for (const size of lengths) general.send(note(size));
        const { events } = general.snapshot;
        const next = restored();
        let behind = 0;
        for (let index = events.length - 1; index > 0; index -= 1) {
          behind += events[index]?.bytes?.length ?? 0;
          if (behind > 64 * 1024) break;
          const last = events[index - 1]?.sequence ?? -1;
          expect(next.general.canResumeAfter(last)).toBe(true);
          expect(attach(next.general, last).sequences).toEqual(events.slice(index).map(({ sequence }) => sequence));
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe('what is no longer needed goes', () => {
  test('and what a client has seen that misses just under 64 KiB is still known', () => {
    streams.keepJournal(journal);
    const { general } = streams;
    attach(general);
    for (let index = 0; index < 64; index += 1) general.send(note(30_000));
    general.send(note(1));
    const last = general.snapshot.events.at(-4)?.sequence ?? -1;
    expect(journals.entriesOf(KEY).length).toBeLessThan(10);
    const next = restored();
    expect(next.general.canResumeAfter(last)).toBe(true);
    expect(attach(next.general, last).sequences.length).toBe(3);
  });

  test('also when a stream is silent that was opened first: then all is due to be written anew', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    for (let index = 0; index < 2000; index += 1) {
      const reply = streams.openReply([{ id: index, isToolCall: true }]);
      reply.send(answer(index));
      reply.finish();
      streams.drop(reply);
    }
    expect(journal.isLong).toBe(true);
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(journal.isLong).toBe(false);
    expect(journals.entriesOf(KEY).length).toBeLessThan(5);
    const [general] = read().streams;
    expect(general).toEqual(streams.general.snapshot);
  });

  test('while one stream speaks', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(journals.entriesOf(KEY).length).toBeLessThan(200);
  });

  test('but not a request that is under way, however long ago it was asked', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    journal.asked({ id: 'long', isToolCall: true });
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(read().unanswered).toEqual([{ id: 'long', isToolCall: true }]);
    streams.general.send(answer('long'));
    for (let index = 0; index < 200; index += 1) streams.general.send(note(1000));
    expect(read().unanswered).toEqual([]);
    expect(journals.entriesOf(KEY).length).toBeLessThan(200);
  });

  test('an answer that nobody waits for any more is not due when all is written anew', () => {
    journal.asked({ id: 'a', isToolCall: false });
    journal.asked({ id: 'b', isToolCall: true });
    journal.settled('a');
    journal.settled('nobody asked');
    expect(read().unanswered).toEqual([{ id: 'b', isToolCall: true }]);
    journal.rewrite([], TTL_MS);
    expect(read().unanswered).toEqual([{ id: 'b', isToolCall: true }]);
  });
});

describe('how far a server was heard', () => {
  const heard = (eventId: string) => ({ sessionId: 'there', eventId });

  test('is known to the next owner as it was known last, also when all is written anew', () => {
    expect(read().heard).toBeUndefined();
    journal.heard(heard('1'));
    journal.heard(heard('2'));
    expect(read().heard).toEqual(heard('2'));
    journal.rewrite([], TTL_MS);
    expect(read().heard).toEqual(heard('2'));
  });

  test('is forgotten when the server says something without a number', () => {
    const unnumbered = { sessionId: 'there', eventId: undefined };
    journal.heard(unnumbered);
    expect(journals.entriesOf(KEY)).toEqual([]);
    journal.heard(heard('1'));
    journal.heard(unnumbered);
    expect(read().heard).toBeUndefined();
    journal.rewrite([], TTL_MS);
    expect(read().heard).toBeUndefined();
  });

  test('is known however much is said meanwhile, and keeps nothing of that', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    journal.heard(heard('1'));
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(read().heard).toEqual(heard('1'));
    expect(journals.entriesOf(KEY).length).toBeLessThan(200);
    expect(journal.isLong).toBe(false);
  });
});

describe('what the server asked', () => {
  const question = (clientId: string, upstreamId: number | undefined = 7) => ({ clientId, upstreamId });

  test('is known to the next owner while the client may answer it, as it was known last', () => {
    journal.questionOpened(question('a', 1));
    journal.questionOpened(question('b', 2));
    journal.questionOpened(question('c', 3));
    journal.questionClosed('a');
    journal.questionClosed('nobody asked');
    journal.questionOpened(question('b', undefined));
    const open = [question('b', undefined), question('c', 3)];
    expect(byId(read().questions)).toEqual(open);
    journal.rewrite([], TTL_MS);
    expect(byId(read().questions)).toEqual(open);
  });

  test('is known however much is said meanwhile, and keeps nothing of that', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    journal.questionOpened(question('patient'));
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(read().questions).toEqual([question('patient')]);
    expect(journals.entriesOf(KEY).length).toBeLessThan(200);
    expect(journal.isLong).toBe(false);
  });

  test('is written down up to a bound', () => {
    for (let index = 0; index < 1000; index += 1) journal.questionOpened(question(`q${index}`));
    journal.questionOpened(question('q5', undefined));
    const { questions } = read();
    expect(questions.length).toBe(256);
    expect(questions).toContainEqual(question('q5', undefined));
    for (let index = 0; index < 1000; index += 1) journal.questionClosed(`q${index}`);
    journal.questionOpened(question('later'));
    expect(read().questions).toEqual([question('later')]);
  });

  function byId(questions: LeftSession['questions']): LeftSession['questions'] {
    return questions.toSorted((one, other) => String(one.clientId).localeCompare(String(other.clientId)));
  }
});

describe('a stream that has forgotten something', () => {
  test.each([true, false])(
    'is written anew as it is, and resumed just where it could be (one stream: %s)',
    (isOnly) => {
      streams = newStreams(1000);
      journal = newJournal();
      streams.keepJournal(journal);
      const { general } = streams;
      attach(general);
      for (const size of [100, 100, 5000]) general.send(answer('a', size));
      expect(general.snapshot.forgottenUpTo).toBeGreaterThan(0);
      journal.rewrite(streams.snapshots, TTL_MS);
      const left = read(isOnly);
      expect(left.streams).toEqual([{ ...general.snapshot, isOnlyStream: isOnly }]);
      const next = restored(left);
      for (const sequence of [0, 1, 2, 3]) {
        expect(next.general.canResumeAfter(sequence)).toBe(general.canResumeAfter(sequence));
      }
    },
  );
});

describe('what is too large', () => {
  test('is noted and not kept: the next owner knows which answer is missing', () => {
    streams.keepJournal(journal);
    attach(streams.general);
    journal.asked({ id: 'big', isToolCall: true });
    streams.general.send(answer('big', MAX_KEPT_BYTES));
    expect(journals.entriesOf(KEY).reduce((sum, { sealed }) => sum + sealed.length, 0)).toBeLessThan(1000);
    const left = read();
    expect(left.unanswered).toEqual([]);
    expect(left.streams[0]?.events).toMatchObject([{ answers: 'big', bytes: undefined }]);
  });
});

describe('requests of one id that are under way at once', () => {
  const [first, second] = [
    { id: 'same', isToolCall: true },
    { id: 'same', isToolCall: false },
  ];

  beforeEach(() => {
    streams.keepJournal(journal);
    attach(streams.general);
    journal.asked(first);
    journal.asked(second);
    streams.general.send(answer('same'));
  });

  test('are due as often as they were not answered, also when all is written anew, twice', () => {
    expect(read().unanswered).toEqual([first]);
    for (let round = 0; round < 2; round += 1) {
      journal.rewrite(streams.snapshots, TTL_MS);
      expect(read().unanswered).toEqual([first]);
    }
    streams.general.send(answer('same'));
    expect(read().unanswered).toEqual([]);
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(read().unanswered).toEqual([]);
  });

  test('are due however much has been said since and is no longer needed', () => {
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(read().unanswered).toEqual([first]);
    journal.rewrite(streams.snapshots, TTL_MS);
    for (let index = 0; index < 1000; index += 1) streams.general.send(note(1000));
    expect(read().unanswered).toEqual([first]);
    expect(journals.entriesOf(KEY).length).toBeGreaterThan(1000);
    streams.general.send(answer('same'));
    for (let index = 0; index < 200; index += 1) streams.general.send(note(1000));
    expect(read().unanswered).toEqual([]);
    expect(journals.entriesOf(KEY).length).toBeLessThan(200);
  });
});

describe('a journal that could not be written', () => {
  test('takes nothing more until all is written anew, and is whole then', () => {
    streams.keepJournal(journal);
    streams.general.send(note(1));
    journals.isFull = true;
    streams.general.send(note(2));
    expect(journal.isTorn).toBe(true);
    journals.isFull = false;
    streams.general.send(note(3));
    journal.asked({ id: 1, isToolCall: false });
    expect(journals.entriesOf(KEY).length).toBe(2);
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(journal.isTorn).toBe(false);
    expect(read().streams).toEqual(streams.snapshots);
    expect(read().unanswered).toEqual([{ id: 1, isToolCall: false }]);
    streams.general.send(note(4));
    expect(read().streams).toEqual(streams.snapshots);
  });

  test('stays torn when it cannot be written anew either', () => {
    journals.isFull = true;
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(journal.isTorn).toBe(true);
  });
});

describe('what is written down in one turn of the event loop', () => {
  /** As in Redis: all that one turn brings is sent at its end. */
  class GatheringJournals extends MemoryJournals {
    readonly turn = new Turn();

    override gather(give: () => void): void {
      this.turn.gather(give);
    }

    override whenSent(work: () => void): void {
      this.turn.whenSent(work);
    }

    override sendNow(): void {
      this.turn.end();
    }

    override rewrite(...all: Parameters<MemoryJournals['rewrite']>): boolean {
      this.turn.send();
      return super.rewrite(...all);
    }
  }
  let gathering: GatheringJournals;

  beforeEach(() => {
    gathering = new GatheringJournals();
    journals = gathering;
    journal = newJournal();
    streams.keepJournal(journal);
  });

  test('is one text, under the number of what came last, and read as if it had been many', () => {
    attach(streams.general);
    journal.asked({ id: 'a', isToolCall: true });
    journal.asked({ id: 'b', isToolCall: false });
    streams.general.send(note(10));
    streams.general.send(answer('a'));
    expect(journals.entriesOf(KEY)).toEqual([]);
    gathering.turn.end();
    expect(journals.entriesOf(KEY).map(({ sequence }) => sequence)).toEqual([4]);
    const left = read();
    expect(left.streams).toEqual(streams.snapshots);
    expect(left.unanswered).toEqual([{ id: 'b', isToolCall: false }]);
    expect(left.nextSequence).toBeGreaterThan(4);
  });

  test('is there when the session ends in that turn', () => {
    streams.general.send(note(10));
    journal.end();
    streams.general.send(note(20));
    gathering.turn.end();
    expect(read().streams[0]?.events.length).toBe(1);
  });

  test('is not lost unnoticed when there is no room for it at the end of the turn', () => {
    streams.general.send(note(10));
    journals.isFull = true;
    gathering.turn.end();
    expect(journal.isTorn).toBe(true);
    journals.isFull = false;
    journal.rewrite(streams.snapshots, TTL_MS);
    expect(read().streams).toEqual(streams.snapshots);
  });

  test('comes before all is written anew in the same turn, and what is said then behind it', () => {
    journal.asked({ id: 'a', isToolCall: true });
    streams.general.send(note(10));
    journal.rewrite(streams.snapshots, TTL_MS);
    streams.general.send(note(20));
    gathering.turn.end();
    const left = read();
    expect(left.streams).toEqual(streams.snapshots);
    expect(left.unanswered).toEqual([{ id: 'a', isToolCall: true }]);
    const sequences = journals.entriesOf(KEY).map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].toSorted((one, other) => one - other));
  });

  test('is never trimmed away by itself', () => {
    streams.general.send(note(10));
    journal.keepFrom(1000);
    gathering.turn.end();
    expect(read().streams).toEqual(streams.snapshots);
  });
});

test('what a former owner adds after another has taken the session does not count', () => {
  streams.keepJournal(journal);
  streams.general.send(note(1));
  const before = read();
  journals.fence(KEY, 2);
  streams.general.send(note(2));
  journal.rewrite(streams.snapshots, TTL_MS);
  expect(read()).toEqual(before);
});

test('entries are sealed for their session, and tell nothing to anybody else', () => {
  streams.keepJournal(journal);
  streams.general.send(ownNotification('notifications/message', { data: 'a secret thing' }));
  const entries = journals.entriesOf(KEY);
  expect(Buffer.concat(entries.map(({ sealed }) => sealed)).includes('a secret thing')).toBe(false);
  expect(readJournal(entries, testSealer('another'), KEY, true).streams).toEqual([]);
  expect(readJournal(entries, sealer, 'another', true).streams).toEqual([]);
  expect(readJournal(entries, testSealer('new', 'a secret'), KEY, true).streams.length).toBe(1);
});
