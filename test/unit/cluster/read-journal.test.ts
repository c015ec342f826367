import { describe, expect, test } from 'vitest';
import { encodeEntries, type JournalEntry } from '../../../src/cluster/journal-entry.js';
import { type LeftSession, readJournal } from '../../../src/cluster/read-journal.js';
import { entryContext } from '../../../src/cluster/session-journal.js';
import { testSealer } from '../../helpers/memory-replication.js';

const KEY = 'key';
const sealer = testSealer();

function read(entries: readonly (readonly [number, JournalEntry | Buffer])[], hasOneStream = false): LeftSession {
  const stored = entries.map(([sequence, entry]) => ({
    sequence,
    sealed: Buffer.isBuffer(entry) ? entry : sealer.seal(encodeEntries([entry]), entryContext(KEY, sequence)),
  }));
  return readJournal(stored, sealer, KEY, hasOneStream);
}

const opened = (stream: number, isGeneral = true): JournalEntry => ({
  kind: 'opened',
  stream,
  isGeneral,
  requests: [],
  isFinished: false,
  forgottenUpTo: stream,
});
const said = (stream: number, sequence: number, isWaiting = false, answers?: string): JournalEntry => ({
  kind: 'said',
  stream,
  isGeneral: true,
  isWaiting,
  event: { sequence, bytes: Buffer.from(`event ${sequence}`), isNotification: answers === undefined, answers },
});
const asked = (id: string): JournalEntry => ({ kind: 'asked', request: { id, isToolCall: true } });

describe('a journal that says nothing', () => {
  test('leaves a session without streams', () => {
    expect(read([])).toMatchObject({ streams: [], unanswered: [] });
  });
});

describe('a stream', () => {
  test('whose beginning was trimmed away cannot be resumed from there, but from what is left', () => {
    const { streams } = read([
      [41, said(0, 41)],
      [42, said(0, 42)],
    ]);
    expect(streams).toMatchObject([{ openedAt: 0, isGeneral: true, events: [{ sequence: 41 }, { sequence: 42 }] }]);
    const [{ forgottenUpTo } = { forgottenUpTo: 0 }] = streams;
    expect(forgottenUpTo).toBeGreaterThan(40);
    expect(forgottenUpTo).toBeLessThan(41);
  });

  test('is the only one where all events of the session go over it', () => {
    expect(read([[0, opened(0)]], true).streams[0]?.isOnlyStream).toBe(true);
    expect(read([[0, opened(0)]], false).streams[0]?.isOnlyStream).toBe(false);
  });

  test('waits from the first event that nobody was there for, until somebody comes', () => {
    const entries: [number, JournalEntry][] = [
      [0, opened(0)],
      [1, said(0, 1)],
      [2, said(0, 2, true)],
      [3, said(0, 3)],
    ];
    expect(read(entries).streams[0]?.waiting).toBe(2);
    expect(read([...entries, [4, { kind: 'attached', stream: 0 }]]).streams[0]?.waiting).toBe(0);
  });

  test('that was trimmed away altogether is not brought back by what was noted of it', () => {
    const notes: [number, JournalEntry][] = [
      [5, { kind: 'attached', stream: 0 }],
      [6, { kind: 'finished', stream: 0 }],
    ];
    expect(read(notes).streams).toEqual([]);
  });
});

describe('an answer', () => {
  test('settles one request of its id, the newest', () => {
    const entries: [number, JournalEntry][] = [
      [0, opened(0)],
      [1, asked('a')],
      [2, asked('b')],
      [3, asked('a')],
      [4, said(0, 4, false, 'a')],
    ];
    expect(read(entries).unanswered.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test('that comes before its id is used again settles nothing later', () => {
    const entries: [number, JournalEntry][] = [
      [1, asked('a')],
      [2, said(0, 2, false, 'a')],
      [3, asked('a')],
    ];
    expect(read(entries).unanswered.map(({ id }) => id)).toEqual(['a']);
  });
});

test('new numbers are far above the last entry, since events may have been said that were never written down', () => {
  expect(read([[70, said(0, 70)]]).nextSequence).toBeGreaterThan(1000);
});

test('what cannot be opened or is of another version is passed over, and the rest is read', () => {
  const { streams } = read([
    [0, opened(0)],
    [1, Buffer.from('not sealed')],
    [2, sealer.seal(Buffer.from('[{"k":"new kind"}]\n'), entryContext(KEY, 2))],
    [3, sealer.seal(encodeEntries([said(0, 3)]), entryContext('another session', 3))],
    [4, said(0, 4)],
  ]);
  expect(streams[0]?.events.map(({ sequence }) => sequence)).toEqual([4]);
});

test('an entry that was moved, repeated or made of something else of the session is passed over, and its number too', () => {
  const second = sealer.seal(encodeEntries([said(0, 2)]), entryContext(KEY, 2));
  const { streams, nextSequence } = read([
    [0, opened(0)],
    [1, second],
    [2, second],
    [3, second],
    [1e15, sealer.seal(Buffer.from('{"v":1,"kind":"sse"}'), KEY)],
  ]);
  expect(streams[0]?.events.map(({ sequence }) => sequence)).toEqual([2]);
  expect(nextSequence).toBeLessThan(2000);
});
